"""The program that `support.s3_server` starts: OpenStack Swift with its S3 interface, all its servers in one process.

    python swift_main.py FOLDER ADDRESS PORT USER PASSWORD

Swift's storage servers get free ports of the loopback interface; the S3 interface listens at ADDRESS and PORT.
"""

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

STORAGE = ("account", "container", "object")
PIPELINE = "catch_errors listing_formats bulk s3api tempauth slo proxy-server"


def main(folder: Path, address: str, port: int, user: str, password: str) -> None:
    (folder / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = test\n")
    os.environ["SWIFT_DIR"] = str(folder)

    from swift.common import utils
    from swift.common.ring import RingBuilder
    from swift.common.wsgi import SwiftHttpProtocol, loadapp

    utils.SWIFT_CONF_FILE = str(folder / "swift.conf")
    common = (
        f"[DEFAULT]\nswift_dir = {folder}\ndevices = {folder / 'devices'}\nmount_check = false\nlog_address = /none\n"
    )
    sockets = {}
    for name in STORAGE:
        sockets[name] = eventlet.listen(("127.0.0.1", 0))
        ring = RingBuilder(part_power=0, replicas=1, min_part_hours=0)
        ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": sockets[name].getsockname()[1], "weight": 1.0,
                      "device": "disk", "replication_ip": "127.0.0.1",
                      "replication_port": sockets[name].getsockname()[1]})  # fmt: skip
        ring.rebalance()
        ring.get_ring().save(str(folder / f"{name}.ring.gz"))
        (folder / f"{name}.conf").write_text(
            f"{common}[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
        )
    account, _, person = user.partition(":")
    filters = "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n"
        for name in PIPELINE.split()[:-1]
        if name not in ("s3api", "tempauth")
    )
    (folder / "proxy.conf").write_text(
        f"{common}[pipeline:main]\npipeline = {PIPELINE}\n[app:proxy-server]\nuse = egg:swift#proxy\n"
        f"account_autocreate = true\n{filters}[filter:s3api]\nuse = egg:swift#s3api\nlocation = us-east-1\n"
        f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_{account}_{person} = {password} .admin\n"
    )

    def serve(name: str) -> None:
        app = loadapp(
            str(folder / f"{name}.conf"), global_conf={"log_name": name}, allow_modify_pipeline=name == "proxy"
        )
        eventlet.wsgi.server(
            sockets[name], app, log_output=False, protocol=SwiftHttpProtocol, capitalize_response_headers=False
        )

    threads = [eventlet.spawn(serve, name) for name in STORAGE]
    eventlet.sleep(0)
    sockets["proxy"] = eventlet.listen((address, port))
    serve("proxy")
    for thread in threads:
        thread.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
