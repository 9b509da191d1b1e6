"""Studies: rules x tasks x networks x arithmetics x seeds, resumable, in one table."""

from nrl_edge.study.cells import CellResult, Job, run_job
from nrl_edge.study.definition import Study, Variant, expand_seeds, load_study, parse_study
from nrl_edge.study.plan import plan_jobs
from nrl_edge.study.run import StudyOutcome, VariantState, run_study, study_state
from nrl_edge.study.schedule import DaskScheduler, LocalScheduler, Scheduler, make_scheduler
from nrl_edge.study.store import StudyFolder
from nrl_edge.study.table import Row, Summary, estimate_text, make_row, summarise

__all__ = [
    "CellResult",
    "DaskScheduler",
    "Job",
    "LocalScheduler",
    "Row",
    "Scheduler",
    "Study",
    "StudyFolder",
    "StudyOutcome",
    "Summary",
    "Variant",
    "VariantState",
    "estimate_text",
    "expand_seeds",
    "load_study",
    "make_row",
    "make_scheduler",
    "parse_study",
    "plan_jobs",
    "run_job",
    "run_study",
    "study_state",
    "summarise",
]
