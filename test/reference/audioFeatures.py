"""
Reference values for audio features, by torchaudio: writes audioFeatures.safetensors beside this file.

    python3 test/reference/audioFeatures.py [SPEECH_COMMANDS_FOLDER]

Everything is computed in float64 and stored as float32. torchaudio puts the window in the middle of the transform, Sheaf at its start; the power
spectrum does not depend on that once the signal is padded by half the difference on both sides, so that the windows lie on the same samples.

The generated signal (16,000 samples at 16 kHz, rounded to float32), which src/features/reference.test.ts computes too, for t = n / 16000:
    0.4 sin(2 pi (50 t + 1800 t^2)) + 0.1 u(n),   u(n) = s(n) / 2^31 - 1,   s(n) = (1664525 s(n - 1) + 1013904223) mod 2^32,   s(-1) = 1
The real clip is one of Speech Commands; its values are written only when the folder is given, and kept with the file's SHA-256.
"""
import hashlib
import json
import math
import struct
import sys
import wave as wav
from pathlib import Path

import numpy
import torch
import torchaudio

torch.set_default_dtype(torch.float64)
CLIP = "cat/05cf43ef_nohash_1.wav"

SETTINGS = {
    "default": dict(sampleRate=16000, windowMs=40, hopMs=20, fftSize=1024, melBands=40, minHz=20, maxHz=8000, coefficients=40),
    "small": dict(sampleRate=16000, windowMs=25, hopMs=10, fftSize=512, melBands=20, minHz=100, maxHz=3800, coefficients=10),
}


def generated():
    s, values = 1, []
    for n in range(16000):
        s = (1664525 * s + 1013904223) % 2**32
        t = n / 16000
        values.append(0.4 * math.sin(2 * math.pi * (50 * t + 1800 * t * t)) + 0.1 * (s / 2**31 - 1))
    return torch.tensor(numpy.array(values).astype(numpy.float32).astype(numpy.float64))


def read_clip(path):
    with wav.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        values = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(numpy.float64) / 32768
    assert len(values) == 16000, f"{path} has {len(values)} samples; choose a clip of one second"
    return torch.tensor(values)


def features(signal, f):
    window = f["windowMs"] * f["sampleRate"] // 1000
    mel = dict(
        n_fft=f["fftSize"], win_length=window, hop_length=f["hopMs"] * f["sampleRate"] // 1000, f_min=f["minHz"], f_max=f["maxHz"],
        n_mels=f["melBands"], pad=(f["fftSize"] - window) // 2, center=False, power=2.0, norm=None, mel_scale="htk",
    )
    bands = torchaudio.transforms.MelSpectrogram(sample_rate=f["sampleRate"], **mel)(signal)
    mfcc = torchaudio.transforms.MFCC(sample_rate=f["sampleRate"], n_mfcc=f["coefficients"], log_mels=True, melkwargs=mel)(signal)
    return {"logMel": torch.log(bands + 1e-6).T, "mfcc": mfcc.T}


def save(path, tensors, metadata):
    header, body = {"__metadata__": metadata}, b""
    for name, value in sorted(tensors.items()):
        data = value.numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


signals = {"generated": generated()}
notes = {"torch": torch.__version__, "torchaudio": torchaudio.__version__, "settings": json.dumps(SETTINGS)}
if len(sys.argv) > 1:
    clip = Path(sys.argv[1]) / CLIP
    signals["clip"] = read_clip(clip)
    notes |= {"clip": CLIP, "clipSha256": hashlib.sha256(clip.read_bytes()).hexdigest()}
tensors = {
    f"{signal}/{setting}/{kind}": value.contiguous()
    for signal, values in signals.items()
    for setting, f in SETTINGS.items()
    for kind, value in features(values, f).items()
}
save(Path(__file__).with_name("audioFeatures.safetensors"), tensors, notes)
print({name: list(value.shape) for name, value in tensors.items()}, notes)
