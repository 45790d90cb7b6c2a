"""The APIs that history can be imported from: one file each, and this table of them."""

from stream_detector.history import airflow, azure, circleci, github, gitlab, jenkins
from stream_detector.history.provider import Provider

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        github.PROVIDER,
        gitlab.PROVIDER,
        jenkins.PROVIDER,
        circleci.PROVIDER,
        azure.PROVIDER,
        airflow.PROVIDER,
    )
}
"""By name."""
