/*
 * nrl_mark.h: marks where each phase of the agent's work begins, for those who count what it costs.
 *
 * Here a mark is nothing. `nrl-edge profile` builds with another file of this name, which reads the port's counter at
 * each of them (docs/profile.md); put one of your own here to measure with tools of your own.
 */
#ifndef NRL_MARK_H
#define NRL_MARK_H

#define NRL_MARK(phase) ((void)0)

#endif
