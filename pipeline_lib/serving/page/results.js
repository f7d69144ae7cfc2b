// The list of videos, and what stands there while it is not.

import { ask, clock, el, frameAddress, timeline } from "/static/parts.js";

const RETRY_MS = 2000;

/** One result; open(video, moment or null, seconds or null) plays it. */
export function card(video, rank, open) {
  const slash = video.name.lastIndexOf("/") + 1;
  const made = el("li", { className: "card", dataset: { number: video.number } },
    el("header", {},
      el("span", { className: "rank" }, String(rank)),
      el("h2", { title: video.name },
        el("span", { className: "folder" }, video.name.slice(0, slash)), video.name.slice(slash)),
      el("span", { className: "length" }, clock(video.duration_s, 0)),
      el("span", { className: "score", title: "Cosine of the whole video with the query" },
        video.score.toFixed(3))));
  if (video.moments.length) {
    made.append(
      el("div", { className: "strip", role: "group", "aria-label": "Best moments" },
        ...video.moments.map((moment, at) => still(video, moment, at, open))),
      timeline(video, (seconds) => open(video, null, seconds), (m) => open(video, m, null)));
  } else {
    made.append(el("p", { className: "none" }, "No moment scores high enough."));
  }
  if (video.problem) mark(made, video.problem);
  return made;
}

/** Say in its card why a video cannot be played. */
export function mark(made, problem) {
  if (made.classList.contains("lost")) return;
  made.classList.add("lost");
  made.querySelectorAll("button").forEach((button) => { button.disabled = true; });
  made.querySelector("header").after(
    el("p", { className: "problem" }, el("strong", {}, problem.error), ` ${problem.hint ?? ""}`));
}

function still(video, moment, at, open) {
  const image = el("img", { alt: "", loading: "lazy", decoding: "async" });
  const button = el("button", {
    type: "button", className: "still", dataset: { at },
    "aria-label": `Moment ${at + 1}, at ${clock(moment.time_s)}, score ${moment.score.toFixed(3)}: play`,
  },
  image,
  el("span", { className: "nth" }, String(at + 1)),
  el("span", { className: "when" }, clock(moment.time_s)),
  el("span", { className: "how" }, moment.score.toFixed(3)));
  button.addEventListener("click", () => open(video, moment, null));
  image.addEventListener("load", () => {
    image.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    button.classList.add("shown");
  });
  let tries = 0;
  image.addEventListener("error", async () => {
    try {
      await ask(image.src);
    } catch (error) {
      if (error.status === 410) mark(button.closest(".card"), { error: error.message, hint: error.hint });
      if (error.status === 410 || tries++) return;
    }
    setTimeout(() => { image.src = `${frameAddress(video, moment)}?again=${tries}`; }, RETRY_MS);
  });
  if (!video.problem) image.src = frameAddress(video, moment);
  return button;
}

/** Grey shapes of results to come. */
export function skeletons(count) {
  return Array.from({ length: count }, () => el("li", { className: "card skeleton", "aria-hidden": "true" },
    el("header", {}, el("span", { className: "bone wide" })),
    el("div", { className: "strip" }, ...Array.from({ length: 4 }, () => el("span", { className: "bone still" }))),
    el("span", { className: "bone line" })));
}

/** A message in the middle of the page. */
export function message(title, text, action = null) {
  return [el("h1", {}, title), el("p", {}, text), ...(action ? [action] : [])];
}

/** Left and right go along the moments of a video, up and down between videos. */
export function step(key, from) {
  const row = from.closest(".card");
  if (key === "ArrowLeft" || key === "ArrowRight") {
    return key === "ArrowLeft" ? from.previousElementSibling : from.nextElementSibling;
  }
  const stills = (card) => [...(card?.querySelectorAll(".still:not(:disabled)") ?? [])];
  let other = row;
  do {
    other = key === "ArrowUp" ? other.previousElementSibling : other.nextElementSibling;
  } while (other && !stills(other).length);
  return stills(other)[Math.min(Number(from.dataset.at), stills(other).length - 1)];
}
