"""Apache Kafka as a careful house runs it: TLS, a user with a password for each role, and ACLs that grant the least."""

import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from stream_detector.devstack.apache import Apache, find_java
from stream_detector.devstack.ports import free_port
from stream_detector.kafka.acls import ROLES, Acl, required_acls
from stream_detector.kafka.client import client_options
from stream_detector.settings import Settings

ADMIN = "admin"
PROGRAMS = {
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
}


@dataclass
class SecuredKafka:
    """A running broker. Clients reach it over TLS with SCRAM; its plain listener is the broker's own.

    `.address` is what clients use, `ca_file` what they trust.
    """

    apache: Apache
    address: str
    ca_file: Path

    @classmethod
    def start(cls, folder: Path) -> "SecuredKafka":
        """Start it; no user but the administrator may do anything."""
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        identity = authority.issue_cert("127.0.0.1")
        key = load_pem_private_key(identity.private_key_pem.bytes(), None)
        chain = b"".join(each.bytes() for each in identity.cert_chain_pems)
        (folder / "broker.pem").write_bytes(  # Java reads keys as PKCS 8 alone
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain
        )
        port = free_port()
        listener = "listener.name.sasl_ssl"
        properties = {
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            f"{listener}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{listener}.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            f"{listener}.ssl.keystore.type": "PEM",
            f"{listener}.ssl.keystore.location": folder / "broker.pem",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{ADMIN}",  # the broker itself comes in by the plain listener
        }
        users = {role: password_of(role) for role in (ADMIN, *ROLES)}
        apache = Apache.start(
            folder / "kafka", listener=f"SASL_SSL://127.0.0.1:{port}", properties=properties, scram=users
        )
        (folder / "admin.properties").write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
            f"ssl.truststore.type=PEM\nssl.truststore.location={folder / 'ca.pem'}\n"
            "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
            f'username="{ADMIN}" password="{password_of(ADMIN)}";\n'
        )
        return cls(apache, f"127.0.0.1:{port}", folder / "ca.pem")

    def as_user(self, settings: Settings, user: str) -> Settings:
        """The settings with which a user of this name comes."""
        return replace(
            settings,
            broker=self.address,
            broker_security="sasl_ssl",
            broker_user=user,
            broker_password=password_of(user),
            broker_ca_file=str(self.ca_file),
        )

    async def grant(self, settings: Settings, roles: Iterable[str] = ROLES) -> None:
        """Give each role what `stream-detector acls` prints, without a JVM for each line."""
        acls = [(role, acl) for role in roles for acl in required_acls(role, settings)]
        await self._change(CreateAclsRequest, [_acl(role, acl) for role, acl in acls])

    async def give_back(self, role: str, acl: Acl) -> None:
        """Create one ACL."""
        await self._change(CreateAclsRequest, [_acl(role, acl)])

    async def revoke(self, role: str, acl: Acl) -> None:
        """Delete one ACL."""
        await self._change(DeleteAclsRequest, [_acl(role, acl)])

    async def _change(self, request: Any, entries: list[tuple[Any, ...]]) -> None:
        """Create or delete entries; the broker goes by them afterwards: it answers a moment before it does."""
        admin = AIOKafkaAdminClient(**client_options(self.as_user(Settings(), ADMIN)))
        await admin.start()
        try:
            for entry in entries:
                (answer,) = (await admin._send_request(request(*entry))).to_object().popitem()[1]
                assert answer["error_code"] == 0, answer
            while True:
                found = await admin._send_request(DescribeAclsRequest(*entries[-1]))
                if bool(found.resources) == (request is CreateAclsRequest):
                    return
        finally:
            await admin.close()

    def call(self, calls: Iterable[str]) -> None:
        """Run calls of Kafka's own command line programs as the administrator."""
        for call in calls:
            kafka_program(self.apache.jars, call, cwd=self.ca_file.parent)

    def stop(self) -> None:
        """End it."""
        self.apache.stop()

    def __enter__(self) -> "SecuredKafka":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _acl(role: str, acl: Acl) -> tuple[Any, ...]:
    """Kafka's numbers for one entry: kind of resource, its name, literal, principal, host, operation, allow."""
    operation = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}[acl.operation]
    return {"topic": 2, "group": 3}[acl.kind], acl.name, 3, f"User:{role}", "*", operation, 3


def password_of(user: str) -> str:
    """Every user's is another one."""
    return f"the-{user}s-secret"


def kafka_program(jars: Path, call: str, *, cwd: Path | None = None) -> None:
    """Run one of Kafka's own programs, as a line for its shell script says."""
    program, *words = shlex.split(call)
    command = [find_java(), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    done = subprocess.run([*command, PROGRAMS[program], *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
