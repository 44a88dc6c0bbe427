// One soft chime for an alarm of high priority, only when sound is on. It repeats nothing.

const NOTE_HZ = 523;
const LOUDNESS = 0.08;
const LASTS_S = 1.2;

export class Sound {
  constructor(button) {
    this.button = button;
    this.context = null; // a browser gives one only after a touch
    button.addEventListener("click", () => this.#toggle());
  }

  get on() {
    return this.context !== null;
  }

  chime() {
    if (!this.on) return;
    const now = this.context.currentTime;
    const gain = this.context.createGain();
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(LOUDNESS, now + 0.08);
    gain.gain.exponentialRampToValueAtTime(0.0001, now + LASTS_S);
    gain.connect(this.context.destination);
    const tone = this.context.createOscillator();
    tone.frequency.value = NOTE_HZ;
    tone.connect(gain);
    tone.start(now);
    tone.stop(now + LASTS_S);
  }

  #toggle() {
    if (this.on) {
      this.context.close();
      this.context = null;
    } else {
      this.context = new AudioContext();
      this.chime();
    }
    this.button.setAttribute("aria-pressed", String(this.on));
    this.button.textContent = this.on ? "Sound on" : "Sound off";
  }
}
