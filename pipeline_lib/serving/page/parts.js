// Pieces of the page that results and player share.

/** An element with properties and children; text is never read as HTML. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "dataset") Object.assign(made.dataset, value);
    else if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** 75.3 as 1:15.3, and 7.25 as 0:07.2. */
export function clock(seconds, digits = 1) {
  const unit = 10 ** digits;
  const whole = Math.floor(seconds * unit + 1e-6) / unit;
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** 200 as "3 min 20 s". */
export function length(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}

export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function frameAddress(video, moment) {
  return `/api/frame/${video.number}/${moment.time_s.toFixed(3)}.jpg`;
}

/** The answer to a request as JSON; a refusal becomes an Error with its hint, kind and status. */
export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("The server does not answer."), {
      hint: "Is `clipline serve` still running in its terminal?", kind: "offline",
    });
  }
  const isJson = (answer.headers.get("content-type") || "").includes("json");
  const content = isJson ? await answer.json() : null;
  if (answer.ok) return content;
  const message = content?.error ?? `The server answered ${answer.status}.`;
  throw Object.assign(new Error(message), {
    hint: content?.hint, kind: content?.kind, status: answer.status,
  });
}

// Less between the frames of a video is noise, and is not drawn as hills.
const LEAST_SPAN = 0.05;
const SVG = "http://www.w3.org/2000/svg";

/** The scores of a video's frames over its time, as a filled step line. */
function curve(video) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 1000 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const scores = video.curve.scores;
  const low = Math.min(...scores);
  const span = Math.max(Math.max(...scores) - low, LEAST_SPAN);
  const height = (score) => 84 - (70 * (score - low)) / span;
  const step = 1000 / scores.length;
  const tops = scores.map((score, at) => {
    const y = height(score).toFixed(1);
    return `L${(at * step).toFixed(1)} ${y}L${((at + 1) * step).toFixed(1)} ${y}`;
  });
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", `M0 100${tops.join("")}L1000 100Z`);
  svg.append(path);
  return svg;
}

/**
 * A video's time from left to right: scores, its moments as buttons, and a click anywhere else.
 *
 * play(seconds) is called for a place, choose(moment) for a moment.
 */
export function timeline(video, play, choose) {
  const length_s = video.duration_s || 1;
  const percent = (seconds) => `${Math.min(100, (100 * seconds) / length_s).toFixed(3)}%`;
  const strip = el("div", { className: "timeline" }, curve(video));
  strip.addEventListener("click", (event) => {
    if (event.target.closest("button")) return;
    const box = strip.getBoundingClientRect();
    play(Math.max(0, ((event.clientX - box.left) / box.width) * length_s));
  });
  video.moments.forEach((moment, at) => {
    const mark = el("button", {
      type: "button", className: "mark", tabIndex: -1, dataset: { at },
      title: `${at + 1}: ${clock(moment.start_s)} to ${clock(moment.end_s)}, score ${moment.score.toFixed(3)}`,
      "aria-label": `Moment ${at + 1} at ${clock(moment.time_s)}`,
    }, el("span", {}, String(at + 1)));
    mark.style.left = percent(moment.start_s);
    mark.style.width = percent(moment.end_s - moment.start_s);
    mark.addEventListener("click", () => choose(moment));
    strip.append(mark);
  });
  return strip;
}
