# Paths of the repository in the documents, as the package installs the files (sed -E).
s,(\.\./)*config/(autoscale|bbb|freeswitch|grafana|locales|nginx|prometheus)/,/usr/share/scalelite-appliance/\2/,g
s,(\.\./)*packaging/deb/examples/,/usr/share/doc/scalelite-appliance/examples/,g
# The license is in the copyright file of each Debian package.
s,\[LICENSE\]\(LICENSE\),[LICENSE](copyright),g
