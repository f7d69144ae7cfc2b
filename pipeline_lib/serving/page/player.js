// A video over the page, from a little before a moment on.

import { ask, clock, el, frameAddress, timeline } from "/static/parts.js";

// What leads to a moment makes it understood.
export const LEAD_IN_S = 1;
// Smaller videos are not blown up further than this.
const LARGEST_ZOOM = 4;

const dialog = document.getElementById("player");
const screen = document.getElementById("video");
const problem = document.getElementById("video-problem");
const place = document.getElementById("player-timeline");
const chips = document.getElementById("player-moments");

/**
 * The player.
 *
 * moved(video, seconds) is called when another place was chosen, closed() when it was closed,
 * neighbour(video, step) gives the video before or after it in the list.
 */
export class Player {
  constructor({ moved, closed, neighbour }) {
    Object.assign(this, { moved, closed, neighbour, video: null, wanted: 0 });
    screen.addEventListener("loadedmetadata", () => this.#loaded());
    screen.addEventListener("timeupdate", () => this.#tick());
    screen.addEventListener("seeking", () => this.#tick());
    screen.addEventListener("error", () => this.#failed());
    document.getElementById("player-close").addEventListener("click", () => this.close());
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.close(); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) this.close(); });
    // Before the video's own keys, which would seek and change the volume.
    dialog.addEventListener("keydown", (event) => this.#key(event), true);
  }

  get isOpen() { return dialog.open; }

  /** Play a video from a second on; poster is the frame to show until it has loaded. */
  show(video, seconds, poster = null) {
    if (this.video !== video || !dialog.open) this.#load(video, seconds, poster);
    else this.#seek(seconds);
    if (!dialog.open) dialog.showModal();
  }

  /** Close it without telling. */
  hide() {
    if (!dialog.open) return;
    this.video = null;
    screen.pause();
    screen.removeAttribute("src");
    screen.removeAttribute("poster");
    screen.load();
    dialog.close();
  }

  close() {
    this.hide();
    this.closed();
  }

  #load(video, seconds, poster) {
    this.video = video;
    this.wanted = seconds;
    problem.hidden = true;
    screen.hidden = false;
    screen.style.width = "";
    document.getElementById("player-name").textContent = video.name;
    if (poster) screen.poster = frameAddress(video, poster);
    else screen.removeAttribute("poster");
    screen.src = `/media/${video.number}`;
    const go = (moment) => this.#choose(moment);
    place.replaceChildren(timeline(video, (at) => this.#go(at), go));
    this.head = el("span", { className: "head", "aria-hidden": "true" });
    place.firstChild.append(this.head);
    chips.replaceChildren(...this.#inTime().map((moment) => this.#chip(moment)));
    this.#tick();
  }

  #loaded() {
    const { videoWidth: width, videoHeight: height } = screen;
    if (width) screen.style.width = `min(100%, ${LARGEST_ZOOM * width}px, calc(58vh * ${width / height}))`;
    this.#seek(this.wanted);
  }

  #seek(seconds) {
    this.wanted = seconds;
    if (screen.readyState === 0) return; // the place is taken once the length is known
    screen.currentTime = Math.min(seconds, Math.max(0, screen.duration - 0.05));
    // A browser that wants a click first shows its own button.
    screen.play().catch(() => {});
  }

  #go(seconds) {
    this.#seek(seconds);
    this.moved(this.video, seconds);
  }

  #choose(moment) { this.#go(leadIn(moment)); }

  #inTime() { return [...this.video.moments].sort((a, b) => a.time_s - b.time_s); }

  #chip(moment) {
    const at = this.video.moments.indexOf(moment);
    const chip = el("button", { type: "button", className: "chip", dataset: { at } },
      el("span", { className: "nth" }, String(at + 1)),
      el("span", {}, clock(moment.time_s)),
      el("span", { className: "how" }, moment.score.toFixed(3)));
    chip.addEventListener("click", () => this.#choose(moment));
    return chip;
  }

  /** Which moment is being shown, or was last. */
  #current() {
    const now = screen.readyState ? screen.currentTime : this.wanted;
    return this.#inTime().filter((moment) => leadIn(moment) <= now + 0.02).at(-1);
  }

  #tick() {
    if (!this.video) return;
    const now = screen.readyState ? screen.currentTime : this.wanted;
    this.head.style.left = `${Math.min(100, (100 * now) / (this.video.duration_s || 1))}%`;
    const at = String(this.video.moments.indexOf(this.#current()));
    for (const one of dialog.querySelectorAll("[data-at]")) {
      one.classList.toggle("current", one.dataset.at === at);
    }
  }

  async #failed() {
    if (!this.video || !screen.getAttribute("src")) return;
    const video = this.video;
    let words = "This browser cannot play the format of this video. Its frames still show what was found.";
    try {
      await ask(`/media/${video.number}`, { method: "GET", headers: { Range: "bytes=0-0" } });
    } catch (error) {
      words = `${error.message} ${error.hint ?? ""}`;
    }
    if (this.video !== video) return;
    problem.textContent = words;
    problem.hidden = false;
    screen.hidden = true;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 };
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.#nextMoment(steps[event.key]);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") this.#nextVideo(steps[event.key]);
    else if (event.key === " " && !event.target.closest("button")) {
      if (screen.paused) screen.play().catch(() => {});
      else screen.pause();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #nextMoment(direction) {
    const moments = this.#inTime();
    const now = screen.readyState ? screen.currentTime : this.wanted;
    const at = moments.indexOf(this.#current());
    // Back goes to the start of this moment first, as players do with songs.
    const late = at >= 0 && now > leadIn(moments[at]) + LEAD_IN_S + 1;
    const next = moments[direction < 0 && late ? at : at + direction];
    if (next) this.#choose(next);
  }

  #nextVideo(direction) {
    const other = this.neighbour(this.video, direction);
    if (!other) return;
    const [best] = other.moments;
    const seconds = best ? leadIn(best) : 0;
    this.show(other, seconds, best);
    this.moved(other, seconds);
  }
}

/** Where playing a moment begins. */
export function leadIn(moment) {
  return Math.max(0, moment.time_s - LEAD_IN_S);
}
