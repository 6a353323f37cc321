// The transcript: words that light up as they are heard, and are heard when somebody clicks them.

import { clock } from "./common.js";

const UNSURE_LOGPROB = Math.log(0.4);
const LINGER_S = 0.25; // a word stays lit for so long where none follows at once
const HANDS_OFF_MS = 4000; // after the person has scrolled

export class Transcript {
  /** @param {{onPlay: (time: number) => void}} options */
  constructor(element, { onPlay }) {
    this.element = element;
    this.onPlay = onPlay;
    this.clear();
    element.addEventListener("click", (event) => this.onClick(event));
    element.addEventListener("keydown", (event) => this.onKey(event));
    for (const type of ["wheel", "touchmove"]) {
      element.addEventListener(type, () => (this.scrolledAt = performance.now()), { passive: true });
    }
    element.addEventListener("scroll", () => {
      this.isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 80;
    }, { passive: true });
  }

  clear() {
    this.words = []; // {start, end, node}, in order
    this.rows = []; // the number of each segment's first word
    this.lit = -1;
    this.stop = null; // the one word that the Tab key reaches
    this.scrolledAt = -Infinity;
    this.isUnsure = false;
    this.isGrowing = true;
    this.isAtEnd = true;
    this.element.replaceChildren();
    this.element.removeAttribute("lang");
  }

  get isEmpty() {
    return this.rows.length === 0;
  }

  /**
   * Add a segment, whose words may not be known one by one.
   * @param {{start: number, end: number, text: string}} segment
   * @param {{word: string, start: number, end: number}[]} words
   * @param {number[]} logprobs of the words, or none
   */
  add(segment, words, logprobs) {
    const row = document.createElement("div");
    const time = document.createElement("button");
    time.type = "button";
    time.className = "time";
    // The arrow keys lead here; one stop for each segment would be thousands of them.
    time.tabIndex = -1;
    time.textContent = clock(segment.start);
    time.setAttribute("aria-label", `Play from ${clock(segment.start)}`);
    const text = document.createElement("p");
    text.dir = "auto";
    const timed = words.length ? words : [{ word: segment.text.trim(), start: segment.start, end: segment.end }];
    let at = 0;
    timed.forEach((word, number) => {
      const found = segment.text.indexOf(word.word, at);
      if (found > at && number) text.append(segment.text.slice(at, found));
      at = found < 0 ? at : found + word.word.length;
      text.append(this.wordNode(word, logprobs[number] ?? 0));
    });
    row.append(time, text);
    const first = this.words.length - timed.length;
    time.dataset.first = first;
    this.rows.push(first);
    this.element.append(row);
    if (this.stop === null) this.setStop(0);
    this.followEnd();
  }

  // Once a frame: to ask for the height after each segment would lay out all of them each time.
  followEnd() {
    if (this.frame || !this.isAtEnd) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.isGrowing) this.element.scrollTop = this.element.scrollHeight;
    });
  }

  wordNode({ word, start, end }, logprob) {
    const node = document.createElement("span");
    node.className = "word";
    node.textContent = word;
    if (logprob < UNSURE_LOGPROB) {
      node.classList.add("unsure");
      this.isUnsure = true;
    }
    node.dataset.number = this.words.length;
    this.words.push({ start, end, node });
    return node;
  }

  /** All of it is there. */
  finish(task) {
    if (this.isEmpty) {
      const empty = document.createElement("p");
      empty.className = "empty";
      empty.textContent = "No speech was heard.";
      this.element.append(empty);
    }
    if (task === "translate") this.element.lang = "en";
    this.isGrowing = false;
    this.element.scrollTop = 0;
  }

  /** Light up the word that is heard at a time. Costs the same however long the transcript is. */
  light(time, follow) {
    const number = this.wordAt(time);
    if (number === this.lit) return;
    this.words[this.lit]?.node.classList.remove("now");
    this.lit = number;
    const node = this.words[number]?.node;
    if (!node) return;
    node.classList.add("now");
    if (follow && performance.now() - this.scrolledAt > HANDS_OFF_MS) this.reveal(node);
  }

  wordAt(time) {
    const number = this.lastStarted(time);
    if (number < 0) return -1;
    return time < this.words[number].end + LINGER_S ? number : -1;
  }

  /** The last word that begins at a time or before; the words' starts are in order. */
  lastStarted(time) {
    let [low, high] = [0, this.words.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.words[middle].start <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  reveal(node) {
    const [box, place] = [this.element.getBoundingClientRect(), node.getBoundingClientRect()];
    if (place.top >= box.top && place.bottom <= box.bottom) return;
    this.element.scrollTop += place.top - box.top - box.height / 3;
  }

  // Only the word that the Tab key reaches is a button to assistive technology: the rest reads as the text that it is.
  setStop(number, { focus = false } = {}) {
    if (this.stop) {
      this.stop.removeAttribute("tabindex");
      this.stop.removeAttribute("role");
    }
    this.stop = this.words[number].node;
    this.stop.tabIndex = 0;
    this.stop.setAttribute("role", "button");
    if (focus) this.stop.focus();
  }

  onClick(event) {
    const time = event.target.closest(".time");
    if (time) {
      this.onPlay(this.words[Number(time.dataset.first)].start);
      return;
    }
    const word = event.target.closest(".word");
    if (!word || !getSelection().isCollapsed) return;
    const number = Number(word.dataset.number);
    this.setStop(number);
    this.onPlay(this.words[number].start);
  }

  onKey(event) {
    if (event.target !== this.stop || event.altKey || event.ctrlKey || event.metaKey) return;
    const number = Number(this.stop.dataset.number);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.onPlay(this.words[number].start);
      return;
    }
    const to = this.neighbour(event.key, number);
    if (to === null) return;
    event.preventDefault();
    this.setStop(Math.max(0, Math.min(this.words.length - 1, to)), { focus: true });
  }

  neighbour(key, number) {
    const row = this.rows.findLastIndex((first) => first <= number);
    switch (key) {
      case "ArrowLeft": return number - 1;
      case "ArrowRight": return number + 1;
      case "ArrowUp": return this.rows[Math.max(0, row - 1)];
      case "ArrowDown": return this.rows[row + 1] ?? number;
      case "Home": return 0;
      case "End": return this.words.length - 1;
      default: return null;
    }
  }
}
