"""``gradprox recover``: reconstruct images from compressed measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gradprox.cli import options
from gradprox.cli.error_maps import ErrorMaps, Samples, Uncertainty
from gradprox.cli.frames import Restored, finish
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import Record, Work, run_batch
from gradprox.cli.meter import Watch
from gradprox.cli.model_choice import ModelChoice, Priors
from gradprox.cli.restoration import Restoration
from gradprox.cli.tuning import Tuning


@dataclass(frozen=True, kw_only=True)
class Recovering(Restoration):
    """Reconstruction from the files that `gradprox sense` writes."""

    task = "cs"
    name = "recover"

    def work(self, priors: Priors) -> Work:
        """Return the function that reads one file of measurements and reconstructs its image."""
        from gradprox.images import ImageData, check_scale
        from gradprox.physics import initial_image, read_measurements

        def work(source: Path, target: Path, show: Watch) -> Record:
            priors.follow(show.piece)
            y, sensing = read_measurements(source)
            physics, y = sensing.physics().to(priors.device), y.to(priors.device)
            # Measurements have scales of their own; those of their linear reconstruction are the image's.
            check_scale(initial_image(y, physics), source)
            prior, preset = priors.of(y.shape[1]), self.preset(sensing.sampling.noise)
            result = preset(y, physics, prior, callback=show)
            record: Record = {"sampling": sensing.sampling.model_dump(mode="json")}
            record |= self.solved(prior, preset, result)
            draw = None
            if source in self.maps.files:
                find = self.deviations(y, physics, prior, sensing.sampling.noise, result)
                draw = self.maps.drawing(source, find, self.second_part(priors, show))
            restored = Restored(ImageData(result.x.cpu()), record, draw)
            return finish(restored, target, self.maps.files.get(source))

        return work


def recover(
    measurements: options.Measurements,
    output: options.Output,
    uncertainty: Uncertainty = None,
    samples: Samples = None,
    *,
    tuning: Tuning,
    model: ModelChoice,
    batch: Batch,
) -> None:
    """Reconstruct images from compressed measurements.

    The file of measurements also describes the sampling, so no option for it is needed. The default solver is fista.
    For a model that is not a proximal operator, such as gray-deep or color-deep, it is hqs; nmapg and gd work, too.

    Examples:
      gradprox recover y.npz -o photo.png
      gradprox recover y.npz -o photo.png --uncertainty uncertain.png
    """
    read = (".npz",)
    maps = ErrorMaps.beside(
        measurements, output, uncertainty, batch, samples, output_suffix=".png", read=read
    )
    job = Recovering(tuning=tuning, model=model, maps=maps)
    run_batch(job, measurements, output, batch, read=read, write=".png", beside=maps.files)
