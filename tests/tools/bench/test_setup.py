from daso.planning.synthetic import all_parts_active, trainer
from tests.configs import CPU, DASO, config
from tools.bench.setup import small, tiny


def test_small_and_tiny_configurations_train():
    for shrink in (small, tiny):
        run = trainer(all_parts_active(shrink(config(DASO))), CPU, "eager")
        run.advance(3)
        assert run.t == 3
