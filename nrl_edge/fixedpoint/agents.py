"""Makes the reference agent that a configuration describes."""

from __future__ import annotations

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.actor_critic import ActorCriticAgent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.fixedpoint.reference import IntegerAgent, ReferenceAgent


def reference_agent(configuration: AgentConfiguration, entropy: EntropySettings) -> IntegerAgent:
    """The reference of a preset, ready to step. Raises ConfigurationError as the agents' constructors do."""
    kind = ActorCriticAgent if configuration.online else ReferenceAgent
    return kind(configuration, entropy)
