"""HTTPS: by the appliance on a privileged port, and by nginx with the site of the package."""

from __future__ import annotations

import http.client
import ssl

from tools.deb_test.first_meeting import MEETING, RECORDING, SLIDE
from tools.deb_test.machine import wait_for
from tools.deb_test.scene import SETTLE_S, UNIT, Scene

EXAMPLES = "/usr/share/doc/scalelite-appliance/examples"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/scalelite-appliance"
TLS = "/etc/scalelite-appliance/tls"
LINEAGE = "/etc/letsencrypt/live/bbb.example.org"


def serve_https(scene: Scene) -> None:
    """Follow docs/tls.md."""
    machine = scene.machine
    with scene.step("HTTPS is served on port 443, with the drop-in and certbot's hook"):
        issue(scene, "first")
        machine.shell(f"install -D -m 755 {EXAMPLES}/certbot-deploy-hook {HOOK}")
        machine.shell(f"RENEWED_LINEAGE={LINEAGE} {HOOK}")
        modes = machine.shell(f"stat --format='%a %U' {TLS} {TLS}/*").split("\n")
        assert modes[:3] == ["750 root", *["400 _scalelite"] * 2], modes
        folder = f"/etc/systemd/system/{UNIT}.service.d"
        machine.shell(f"mkdir -p {folder} && cp {EXAMPLES}/privileged-port.conf {folder}/")
        machine.run("systemctl", "daemon-reload")
        scene.configure(
            PORT="443",
            TLS_CERT_FILE=f"{TLS}/fullchain.pem",
            TLS_KEY_FILE=f"{TLS}/privkey.pem",
        )
        wait_for(lambda: subject() == "first", SETTLE_S, lambda: f"HTTPS, found {subject()}")
        status, body = fetch(scene.front.target("isMeetingRunning", {"meetingID": MEETING}))
        assert status == 200, body
        assert b"<running>true</running>" in body, body
    with scene.step("a renewed certificate is served after a reload, without a restart"):
        pid = scene.main_pid()
        issue(scene, "renewed")
        machine.shell(f"RENEWED_LINEAGE={LINEAGE} {HOOK}")
        assert subject() == "renewed", subject()
        assert scene.main_pid() == pid
    with scene.step("an unreadable certificate does not replace the old one"):
        machine.shell(f"echo broken >{TLS}/fullchain.pem")
        machine.run("systemctl", "reload", UNIT)
        assert subject() == "renewed", subject()
        machine.run("rm", HOOK, f"/etc/systemd/system/{UNIT}.service.d/privileged-port.conf")
        machine.run("systemctl", "daemon-reload")
        scene.configure(PORT="3000", TLS_CERT_FILE="", TLS_KEY_FILE="")
        scene.wait_serving()


def serve_behind_nginx(scene: Scene) -> None:
    """Follow docs/behind-nginx.md."""
    machine = scene.machine
    with scene.step("behind nginx with the site of the package, nginx sends recordings"):
        machine.shell(
            "cp /usr/share/scalelite-appliance/nginx/*.conf /etc/nginx/sites-enabled/"
            " && rm -f /etc/nginx/sites-enabled/default && usermod -aG _scalelite www-data"
            " && nginx -t && systemctl unmask nginx && systemctl restart nginx"
        )
        scene.configure(X_ACCEL_REDIRECT="true", BIND="tcp://127.0.0.1:3000")
        scene.wait_serving()
        scene.wait_recordings(RECORDING)
        target = f"/presentation/{RECORDING}/1.svg"
        handed = scene.front.fetch("GET", target)
        assert handed.body == b"", handed.body
        assert handed.headers["x-accel-redirect"].endswith("/1.svg"), handed.headers
        assert fetch(target) == (200, SLIDE), fetch(target)
        status, _ = fetch(f"/static-resource/presentation/{RECORDING}/1.svg")
        assert status == 404
        status, body = fetch(scene.front.target("join", {
            "meetingID": MEETING, "fullName": "Ada", "password": "attendee-pw-9c41",
        }))  # fmt: skip
        assert status == 302, body
        machine.run("systemctl", "disable", "--now", "nginx")
        machine.shell("rm /etc/nginx/sites-enabled/*")
        scene.configure(X_ACCEL_REDIRECT="false", BIND="")
        scene.wait_serving()


def issue(scene: Scene, name: str) -> None:
    """Create a certificate like certbot: readable for root only."""
    scene.machine.shell(
        f"umask 077; mkdir -p {LINEAGE}; cd {LINEAGE}; openssl req -quiet -x509 -newkey rsa:2048"
        f" -nodes -days 2 -subj /CN={name} -keyout privkey.pem -out fullchain.pem"
    )


def subject() -> str:
    """Return the name in the certificate on port 443, or an error."""
    try:
        pem = ssl.get_server_certificate(("127.0.0.1", 443), timeout=5)
    except OSError as error:
        return str(error)
    # Names are plain text in a certificate.
    found = [
        name for name in ("first", "renewed") if name.encode() in ssl.PEM_cert_to_DER_cert(pem)
    ]
    return "".join(found)


def fetch(target: str) -> tuple[int, bytes]:
    """Fetch from port 443 without verifying the certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", 443, timeout=10, context=context)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
