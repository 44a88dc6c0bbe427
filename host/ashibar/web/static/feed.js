// The page's end of the feed: one stream of server-sent events, opened anew whenever it ends or falls silent.
// It judges no figure; it reloads the page when another server answers.

const SILENT_MS = 2000; // a stream this long without a heartbeat is dead, whatever the browser thinks
const PAUSE_MS = 700; // between two attempts

export class Feed {
  constructor({ rig, onOpen, onEnvelope }) {
    this.url = rig ? `/events?rig=${encodeURIComponent(rig)}` : "/events";
    this.onOpen = onOpen;
    this.onEnvelope = onEnvelope;
    this.source = null;
    this.server = null;
    this.openedMs = -Infinity;
    this.heardMs = -Infinity;
  }

  open() {
    this.close();
    this.openedMs = performance.now();
    this.onOpen();
    const source = new EventSource(this.url);
    this.source = source;
    source.onmessage = (event) => source === this.source && this.#message(event);
    source.onerror = () => source === this.source && this.close();
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  // Called often: opens what is closed or silent, not more often than every PAUSE_MS.
  tend(nowMs) {
    const silent = nowMs - Math.max(this.heardMs, this.openedMs) > SILENT_MS;
    const paused = nowMs - this.openedMs < PAUSE_MS;
    if (!paused && (this.source === null || silent)) this.open();
  }

  #message(event) {
    this.heardMs = performance.now();
    let envelope;
    try {
      envelope = JSON.parse(event.data);
    } catch {
      return; // unreadable is unheard: the watchdog will say so
    }
    this.server ??= envelope.server;
    if (envelope.server !== this.server) {
      this.close();
      location.reload();
      return;
    }
    this.onEnvelope(envelope, this.heardMs);
  }
}
