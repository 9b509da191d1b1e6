"""The report: tables and plots of a run in one self-contained HTML file."""

from nrl_edge.policy import POLICY_VIEWS, PolicyMap, PolicyView, policy_map
from nrl_edge.report.comparison import Curve, CurveGroup, Grid
from nrl_edge.report.data import Check, ReportData, report_data, run_weights
from nrl_edge.report.evidence import read_profile
from nrl_edge.report.page import render_report, write_report

__all__ = [
    "POLICY_VIEWS",
    "Check",
    "Curve",
    "CurveGroup",
    "Grid",
    "PolicyMap",
    "PolicyView",
    "ReportData",
    "policy_map",
    "read_profile",
    "render_report",
    "report_data",
    "run_weights",
    "write_report",
]
