/** Hands the page what the microphone hears, block by block. An audio worklet is a script of its own. */
class Recorder extends AudioWorkletProcessor {
  process([input]) {
    const samples = input?.[0];
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}
registerProcessor("recorder", Recorder);
