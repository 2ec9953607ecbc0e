"""Recordings on a separate volume of Scalelite, with both drop-ins of the package."""

from __future__ import annotations

from tools.deb_test.failures import check_meeting
from tools.deb_test.first_meeting import RECORDING, SLIDE, deliver
from tools.deb_test.https import EXAMPLES
from tools.deb_test.scene import UNIT, Scene

VOLUME = "/mnt/recordings"
DIRECTORIES = {"SPOOL": "spool", "WORK": "work", "PUBLISH": "published", "UNPUBLISH": "unpublished"}
MOVED = "0123456789abcdef-1700000000009"


def use_scalelites_volume(scene: Scene) -> None:
    """Follow the instructions in the drop-ins, and undo them."""
    machine = scene.machine
    folder = f"/etc/systemd/system/{UNIT}.service.d"
    with scene.step("recordings are stored on a volume of Scalelite with the drop-ins"):
        machine.shell(
            f"mkdir {VOLUME}; mount -t tmpfs tmpfs {VOLUME}; cd {VOLUME};"
            f" mkdir -m 2775 {' '.join(DIRECTORIES.values())}; chown -R 1000:2000 .;"
            " groupadd --gid 2000 scalelite-spool; usermod -aG scalelite-spool bbb;"
            f" mkdir -p {folder}; cd {EXAMPLES};"
            f" cp scalelite-volume.conf recordings-elsewhere.conf {folder}/;"
            " systemctl daemon-reload"
        )
        scene.configure(
            **{f"RECORDING_{one}_DIR": f"{VOLUME}/{name}" for one, name in DIRECTORIES.items()}
        )
        scene.wait_serving()
        output = scene.ctl("doctor")
        assert "FAIL" not in output, output
        deliver(scene, MOVED, f"{VOLUME}/spool")
        scene.wait_recordings(RECORDING, MOVED)
        played = scene.front.fetch("GET", f"/presentation/{MOVED}/1.svg")
        assert (played.status, played.body) == (200, SLIDE), played.body
        where = f"{VOLUME}/published/presentation/{MOVED}"
        machine.run("chown", "-R", "1000:2000", where)  # like recordings that Scalelite published
        machine.run("chmod", "-R", "g+rwX", where)
        deleted = scene.front.get("deleteRecordings", recordID=MOVED)
        assert deleted.text("deleted") == "true", deleted.body
        assert not machine.path(where).exists()
    with scene.step(
        "a missing volume does not affect meetings; recordings are available again with it"
    ):
        machine.run("umount", VOLUME)
        check_meeting(scene)
        machine.shell(f"rm {folder}/scalelite-volume.conf {folder}/recordings-elsewhere.conf")
        machine.run("systemctl", "daemon-reload")
        scene.configure(**{f"RECORDING_{one}_DIR": "" for one in DIRECTORIES})
        check_meeting(scene)
        scene.wait_recordings(RECORDING)
