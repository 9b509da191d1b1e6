"""The report: tables and plots of a run in one self-contained HTML file."""

from nrl_edge.policy import POLICY_VIEWS, PolicyMap, PolicyView, policy_map
from nrl_edge.report.data import (
    Check,
    Curve,
    ReportData,
    report_data,
    run_weights,
)
from nrl_edge.report.page import render_report, write_report

__all__ = [
    "POLICY_VIEWS",
    "Check",
    "Curve",
    "PolicyMap",
    "PolicyView",
    "ReportData",
    "policy_map",
    "render_report",
    "report_data",
    "run_weights",
    "write_report",
]
