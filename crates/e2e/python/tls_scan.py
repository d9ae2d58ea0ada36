"""Scans a host of a TLS server and judges it by what Mozilla recommends.

    tls_scan.py ADDRESS HOST CONFIGURATION CA

CONFIGURATION is `modern`, `intermediate` or `old`; CA is a file with the authority that the host's certificates lead to.
Prints one JSON object.
"""

import json
import sys
from pathlib import Path

import sslyze
from sslyze.mozilla_tls_profile import tls_config_checker as mozilla
from sslyze.plugins.scan_commands import ScanCommand

VERSIONS = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"]


def scan(address, host, authority):
    ip, port = address.rsplit(":", 1)
    request = sslyze.ServerScanRequest(
        server_location=sslyze.ServerNetworkLocation(hostname=host, port=int(port), ip_address=ip),
        scan_commands=mozilla.SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER | {ScanCommand.TLS_1_3_EARLY_DATA},
        scan_commands_extra_arguments=sslyze.ScanCommandsExtraArguments(
            certificate_info=sslyze.CertificateInfoExtraArgument(custom_ca_file=Path(authority))
        ),
    )
    scanner = sslyze.Scanner()
    scanner.queue_scans([request])
    return next(iter(scanner.get_results()))


def complaints(result, configuration):
    profile = mozilla.MozillaTlsConfiguration.get(mozilla.TlsConfigurationEnum(configuration))
    try:
        mozilla.check_server_against_tls_configuration(result, profile)
    except mozilla.ServerNotCompliantWithTlsConfiguration as verdict:
        return verdict.issues
    return {}


def report(result, configuration):
    found = result.scan_result

    def suites(version):
        accepted = getattr(found, version + "_cipher_suites").result.accepted_cipher_suites
        return sorted(one.cipher_suite.name for one in accepted)

    return {
        "complaints": complaints(result, configuration),
        "suites": {version: suites(version) for version in VERSIONS},
        "groups": sorted(curve.name for curve in found.elliptic_curves.result.supported_curves),
        "chains": [
            len(deployment.received_certificate_chain)
            for deployment in found.certificate_info.result.certificate_deployments
        ],
        "early_data": found.tls_1_3_early_data.result.supports_early_data,
    }


def main():
    address, host, configuration, authority = sys.argv[1:]
    print(json.dumps(report(scan(address, host, authority), configuration)))


main()
