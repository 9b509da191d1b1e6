"""What a learning step costs: instructions and cycles of the compiled core, counted exactly and the same every time.

    python -m benchmarks.counts --core m0plus --network 4-64-2 --functions

networks.py says what is counted on which stream, build.py compiles it as it ships, unicorn_machine.py and
simavr_machine.py run it and log every block of instructions, timings.py prices them, measure.py puts it together.
"""
