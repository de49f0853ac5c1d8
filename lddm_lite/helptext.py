"""What the command line says of itself: a line for each option of models and training, examples for each command."""

from __future__ import annotations

from . import comparecommand

__all__ = ["EPILOGS", "HELP", "PROGRAM"]

PROGRAM = "python -m lddm_lite"

HELP = {  # one line per field of Config and TrainConfig; a test sees to it that none is missing
    "lead": "path that it samples on by default: 0 joint, 0.5 sequential (default: the system's)",
    "slots": "latent slots m",
    "dim": "coordinates d of a latent slot",
    "codes": "codebook size K of discrete latents",
    "width": "transformer width of both streams",
    "blocks": "transformer blocks",
    "heads": "attention heads; they divide the width",
    "network": "plain, or text: rotary attention, small embeddings, open gates at the start; --size has text",
    "encoder": "what makes the latents of a text: learned, or a frozen encoder: minilm, a folder, a name on the hub",
    "encoder_blocks": "transformer blocks of the encoder",
    "log_snr_max": "log signal-to-noise ratio of continuous latents at t_z=0, their noise floor",
    "log_snr_min": "the same at t_z=1, pure noise",
    "own_share": "share of training times drawn on the system's own path",
    "off_path_share": "share drawn off every path, which infilling needs; the rest is on random leads",
    "steps": "training steps",
    "batch": "sequences per step",
    "seed": "seed of weights, data and noise; the same one repeats the run",
    "lr": "peak learning rate; linear warm-up, then cosine to zero",
    "warmup": "steps of warm-up",
    "weight_decay": "AdamW's weight decay",
    "clip": "largest gradient norm",
    "ema": "decay of the averaged weights, which are the ones kept",
    "stage1": "share of steps that train the encoder; longer while the tokens ignore z",
    "late_codes": "discrete systems: no codes in stage 1, whose latents then give the codebook by k-means",
    "few_step1": "share of token times moved to the start of sampling (t_x=1) in stage 1: what few steps need",
    "few_step2": "the same in stage 2",
    "log_every": "steps per row of the history",
    "save_every": "steps between checkpoints",
    "precision": "float32, or bf16: autocast of the transformer blocks; weights and losses stay float32",
    "compile": "torch.compile the transformer blocks: minutes at the start, faster steps on a GPU",
    "accumulate": "pieces in which a batch is worked on, one after another or by several processes: less memory",
    "validate_every": "steps between bounds on held-out data, kept in the history; 0: never",
    "preview_every": "steps between a few samples, printed and kept in the history; 0: never",
    "tensorboard": "write the history for TensorBoard too, into the folder tensorboard of --out",
}

EPILOGS = {
    None: f"""commands in the order in which they are used:
  {PROGRAM} doctor
  {PROGRAM} train --task binsaw --system co-seq --steps 2000 --out runs/a
  {PROGRAM} sample runs/a
  {PROGRAM} evaluate runs/a
  {PROGRAM} compare runs/a binsaw-mdlm --out runs/compared
Each explains itself: {PROGRAM} train --help""",
    "data": f"""It prints the path of a file with one sentence a line. The archive (1.79 GB) is read only as far
as needed; what was read stays in the cache, and a download that breaks goes on there. The held-out
part may lie at the archive's end. Without a network: LDDM_LM1B=/path/to/archive.tar.gz.

examples:
  {PROGRAM} data lm1b --sentences 50000
  {PROGRAM} data lm1b --split heldout --sentences 5000""",
    "train": f"""systems: mdlm (no latents), co-joint, co-seq (continuous latents), di-joint, di-seq (discrete ones);
*-seq resolves the latents before the tokens, *-joint both at once.

examples:
  {PROGRAM} train --task binsaw --length 32 --steps 1000 --out runs/a    # a few minutes
  {PROGRAM} train --task newswire --system mdlm --out runs/b
  {PROGRAM} train --text FILE.txt --slots 8 --out runs/c                 # one sentence a line
  {PROGRAM} train --out runs/a --resume                                  # go on where it stopped
  {PROGRAM} train --text FILE.txt --size small --precision bf16 --dry-run       # what would it need?
on several GPUs, or CPUs with --device cpu (--batch is that of all together):
  accelerate launch --multi_gpu --num_processes 2 -m lddm_lite train --task binsaw --out runs/d
Ctrl-C stops after the current step and keeps what was learned; resuming is exact, bit for bit on a CPU.""",
    "sample": f"""NFE, the number of network calls, is the price to compare at; it is printed with every result.

examples:
  {PROGRAM} sample runs/a
  {PROGRAM} sample runs/a -n 4 --token-steps 1,4,16 --latent-steps 16
  {PROGRAM} sample runs/a --lead 0.25 --trace run.json   # lddm_lite.Trace.load reads it
  {PROGRAM} sample runs/c --prompt "The bank" --order even --top-p 0.9""",
    "infill": f"""examples:
  {PROGRAM} infill runs/c "The [MASK] said on Monday that [MASK] ." -n 4
  {PROGRAM} infill runs/a 01__10      # bits: _ is a mask too, and so is what is missing at the end""",
    "evaluate": f"""Tasks are scored exactly: excess nats, total variation over hidden modes, coherence;
what as many true samples show stands in brackets. The rows 'exact' are the best possible without
latents. Text has no exact scores: on --text FILE, which the model should not have seen, the bound is
taken in nats per token, and the unigram entropy of the samples stands beside that of the text.

examples:
  {PROGRAM} evaluate runs/a --token-steps 1,2,4 --json scores.json
  {PROGRAM} evaluate runs/c --text held_out.txt -n 256""",
    "compare": comparecommand.EPILOG,
    "doctor": f"example:\n  {PROGRAM} doctor",
}
