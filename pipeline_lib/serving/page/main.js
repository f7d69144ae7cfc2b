// The page: its address says what is asked for, and everything is drawn from it.

import { ask, el, length, plural } from "/static/parts.js";
import { Player, leadIn } from "/static/player.js";
import { card, message, skeletons, step } from "/static/results.js";

const FIRST = 10;
const field = document.getElementById("query");
const list = document.getElementById("results");
const state = document.getElementById("state");
const summary = document.getElementById("summary");
const more = document.getElementById("more");

const KEYS = el("p", { className: "keys" },
  el("kbd", {}, "/"), " search ", el("kbd", {}, "Enter"), " find or play ",
  el("kbd", {}, "←"), el("kbd", {}, "→"), " moments ", el("kbd", {}, "↑"), el("kbd", {}, "↓"), " videos");

let info = null;
let shown = { query: "", asked: 0, videos: [] };
let running = null;

const player = new Player({
  moved: (video, seconds) => address({ video: video.number, at: seconds }, "replace"),
  closed: closePlayer,
  neighbour: (video, direction) => {
    const playable = shown.videos.filter((one) => one === video || !isLost(one));
    return playable[playable.indexOf(video) + direction];
  },
});

/** What the address asks for. */
function wanted() {
  const fields = new URLSearchParams(location.search);
  const number = (name) => (fields.has(name) && fields.get(name) !== "" ? Number(fields.get(name)) : NaN);
  return {
    query: (fields.get("q") ?? "").trim().replace(/\s+/g, " "),
    videos: Math.min(Math.max(Math.trunc(number("videos")) || FIRST, 1), info?.most_videos ?? 50),
    video: number("video"),
    at: Math.max(0, number("at") || 0),
  };
}

/** Change the address, and keep what is not named of it. */
function address(changes, how) {
  const now = wanted();
  const next = { q: now.query, videos: now.videos, video: now.video, at: now.at, ...changes };
  const fields = new URLSearchParams();
  if (next.q) fields.set("q", next.q);
  if (next.videos > FIRST) fields.set("videos", String(next.videos));
  if (Number.isInteger(next.video)) {
    fields.set("video", String(next.video));
    fields.set("at", String(Math.round(next.at * 1000) / 1000));
  }
  const target = fields.size ? `/?${fields}` : "/";
  const kept = how === "push" ? { player: "video" in changes } : history.state;
  history[`${how}State`](kept, "", target);
}

/** Draw what the address asks for. */
async function follow() {
  const { query, videos, video, at } = wanted();
  if (field.value.trim().replace(/\s+/g, " ") !== query) field.value = query;
  document.title = query ? `${query} – Clipline search` : "Clipline search";
  document.body.classList.toggle("blank", !query);
  if (query !== shown.query || videos !== shown.asked) await search(query, videos);
  const now = wanted();
  if (now.query !== query || !Object.is(now.video, video)) return; // the address has moved on meanwhile
  const found = shown.videos.find((one) => one.number === video);
  if (found && !isLost(found)) player.show(found, at);
  else player.hide();
}

async function search(query, videos) {
  running?.abort();
  const mine = (running = new AbortController());
  if (!query) return showNothing();
  const extends_ = query === shown.query && shown.videos.length;
  if (!extends_) {
    window.scrollTo(0, 0);
    list.replaceChildren(...skeletons(3));
    summary.textContent = "Searching…";
  }
  list.setAttribute("aria-busy", "true");
  state.hidden = more.hidden = true;
  const fields = new URLSearchParams({ q: query, videos });
  try {
    const answer = await ask(`/api/search?${fields}`, { signal: mine.signal });
    if (mine === running) showResults(query, videos, answer);
  } catch (error) {
    if (error.name !== "AbortError" && mine === running) showError(error);
  }
  if (mine === running) list.removeAttribute("aria-busy");
}

function showResults(query, asked, answer) {
  const videos = answer.videos;
  shown = { query, asked, videos };
  const cut = answer.tokens_cut
    ? ` The model does not read the end of this query: ${plural(answer.tokens_cut, "token")} left out.` : "";
  if (!videos.some((video) => video.moments.length)) {
    list.replaceChildren();
    summary.textContent = cut.trim();
    return showState(message("Nothing found", `No moment scores high enough for “${query}”. Other words may find it: describe what is to be seen.`));
  }
  const all = info ? ` of ${info.videos.toLocaleString("en")}` : "";
  summary.textContent = `The best ${videos.length}${all} videos, best first.${cut}`;
  list.replaceChildren(...videos.map((video, at) => card(video, at + 1, open)));
  more.hidden = !info || videos.length >= Math.min(info.videos, info.most_videos) || videos.length < asked;
}

function showNothing() {
  shown = { query: "", asked: 0, videos: [] };
  list.replaceChildren();
  summary.textContent = "";
  more.hidden = true;
  const count = info ? `${plural(info.videos, "video")}, ${length(info.duration_s)}. ` : "";
  showState(message("Find a moment", `${count}Say in a few words what is to be seen.`, KEYS.cloneNode(true)));
}

function showError(error) {
  shown = { query: "", asked: 0, videos: [] };
  list.replaceChildren();
  summary.textContent = "";
  const again = el("button", { type: "button", className: "quiet" }, "Try again");
  again.addEventListener("click", follow);
  showState(message(error.message, error.hint ?? "", error.status === 422 ? null : again), true);
}

function showState(content, isError = false) {
  state.classList.toggle("error", isError);
  state.replaceChildren(...content);
  state.hidden = false;
}

function isLost(video) {
  return Boolean(list.querySelector(`.card[data-number="${video.number}"].lost`));
}

function open(video, moment, seconds) {
  if (isLost(video)) return;
  const at = moment ? leadIn(moment) : seconds;
  address({ video: video.number, at }, "push");
  player.show(video, at, moment);
}

function closePlayer() {
  if (history.state?.player) history.back();
  else address({ video: NaN }, "replace");
}

async function showInfo() {
  try {
    info = await ask("/api/info");
  } catch {
    return; // the search says what is wrong
  }
  field.maxLength = info.longest_query;
  const failed = info.not_embedded ? `, ${plural(info.not_embedded, "video")} could not be embedded` : "";
  document.getElementById("about").textContent =
    `${plural(info.videos, "video")} of ${info.source}, ${length(info.duration_s)}${failed} · ${info.model}, ${info.opened_from}, ${info.trained ? "trained" : "untrained"}`;
  const warning = document.getElementById("warning");
  warning.textContent = "The weights of this model are untrained: what it finds means little.";
  warning.hidden = info.trained;
}

document.getElementById("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = field.value.trim().replace(/\s+/g, " ");
  if (!query) return field.focus();
  if (query === wanted().query && query === shown.query) return list.querySelector(".still")?.focus();
  address({ q: query, videos: FIRST, video: NaN }, "push");
  follow();
});
document.getElementById("home").addEventListener("click", (event) => {
  event.preventDefault();
  address({ q: "", videos: FIRST, video: NaN }, "push");
  follow();
  field.focus();
});
more.addEventListener("click", () => {
  address({ videos: Math.min(wanted().videos + FIRST, info.most_videos) }, "replace");
  follow();
});
document.addEventListener("keydown", (event) => {
  if (player.isOpen || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === "ArrowDown" && document.activeElement === field) {
    event.preventDefault();
    list.querySelector(".still:not(:disabled)")?.focus();
  } else if (event.key.startsWith("Arrow") && document.activeElement?.classList.contains("still")) {
    event.preventDefault();
    const next = step(event.key, document.activeElement);
    if (next) next.focus();
    else if (event.key === "ArrowUp") field.focus();
  }
});
window.addEventListener("popstate", follow);

await showInfo();
await follow();
if (!wanted().query) field.focus();
