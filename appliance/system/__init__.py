"""The process and its host: systemd, signals, embedded stores, directories, inotify."""
