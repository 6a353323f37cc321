// What the pages of both services share: where the API is, its key, the theme, errors, and code to copy.

/** Folder that the page is served from: the service itself, or the path below which a proxy offers it. */
export const BASE = new URL(".", document.baseURI);

/** {service, title, version, api, keys}: api is the prefix of the API below BASE, keys whether it takes any. */
export const config = await (await fetch(new URL("playground/config.json", BASE))).json();

/** For what a script puts into the page's style: wavesurfer.js takes it as cspNonce. */
export const NONCE = document.querySelector("script[nonce]").nonce;

const KEY = "voice-stack-key";
const THEME = "voice-stack-theme";

export class ApiError extends Error {
  /** @param {number} status 0 where there was no answer */
  constructor(message, { status = 0, code = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

/** The address of an endpoint: apiUrl("models"). */
export function apiUrl(path) {
  return new URL(`${config.api}/${path}`, BASE);
}

/** The same for a WebSocket. */
export function socketUrl(path) {
  const url = apiUrl(path);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

/** Subprotocols of a WebSocket, with the key as OpenAI's clients in browsers send it. */
export function socketProtocols() {
  const key = storedKey();
  return key ? ["realtime", `openai-insecure-api-key.${key}`] : ["realtime"];
}

/**
 * fetch with the API key; asks the person for one where the API wants it, and tries again.
 * @returns {Promise<Response>} with a good status
 * @throws {ApiError} with the service's own words; an AbortError where init.signal is aborted
 */
export async function api(path, init = {}) {
  await haveKey();
  for (;;) {
    let response;
    try {
      response = await fetch(apiUrl(path), { ...init, headers: { ...init.headers, ...authorization() } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(UNREACHABLE);
    }
    if (response.ok) return response;
    const error = errorOf(response.status, await response.text());
    if (response.status !== 401) throw error;
    await askForKey(error.message);
  }
}

/**
 * POST a form and hear of its progress, which fetch does not tell.
 * @param {{onSent?: (share: number) => void, onText?: (text: string) => void, signal?: AbortSignal}} options
 *   onSent: share of the form that has left, 0 to 1; onText: each further piece of the answer
 * @returns {Promise<string>} the whole answer
 * @throws as api() does
 */
export async function postForm(path, form, options = {}) {
  await haveKey();
  for (;;) {
    try {
      return await postOnce(apiUrl(path), form, options);
    } catch (error) {
      if (error.status !== 401) throw error;
      await askForKey(error.message);
    }
  }
}

function postOnce(url, form, { onSent, onText, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let seen = 0;
    const hear = () => {
      if (request.status !== 200 || request.responseText.length === seen) return;
      const text = request.responseText.slice(seen);
      seen += text.length;
      onText?.(text);
    };
    request.upload.onprogress = (event) => event.lengthComputable && onSent?.(event.loaded / event.total);
    request.upload.onload = () => onSent?.(1);
    request.onprogress = hear;
    request.onload = () => {
      hear();
      if (request.status >= 200 && request.status < 300) resolve(request.responseText);
      else reject(errorOf(request.status, request.responseText));
    };
    request.onerror = () => reject(new ApiError(seen ? "The connection broke off before the answer was whole." : UNREACHABLE));
    request.onabort = () => reject(new DOMException("Cancelled", "AbortError"));
    signal?.throwIfAborted();
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.open("POST", url);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.send(form);
  });
}

const UNREACHABLE = "The service cannot be reached. Is it still running?";

function errorOf(status, text) {
  try {
    const { message, code } = JSON.parse(text).error;
    return new ApiError(message, { status, code });
  } catch {
    return new ApiError(`The service answered with status ${status}.`, { status });
  }
}

// The API key

let typedKey = "";

function storedKey() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return typedKey;
  }
}

function keepKey(key) {
  typedKey = key;
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage may be switched off: the key lives as long as the page.
  }
}

function authorization() {
  const key = storedKey();
  return key ? { authorization: `Bearer ${key}` } : {};
}

// A request without a key would be refused, and browsers tell of that in the console.
async function haveKey() {
  if (config.keys && !storedKey()) await askForKey();
}

let asking = null;

/** Ask for the API key, once however many requests want it. @throws {ApiError} where the person declines. */
export function askForKey(reason = "") {
  asking ??= new Promise((resolve, reject) => {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "key-title");
    dialog.innerHTML = `
      <form method="dialog">
        <h2 id="key-title">API key</h2>
        <p class="hint" id="key-hint"></p>
        <div class="field">
          <label for="key-input">Key</label>
          <input id="key-input" type="password" autocomplete="off" spellcheck="false" required aria-describedby="key-hint">
        </div>
        <p class="hint">It is kept in this tab only, until you close it.</p>
        <div class="row">
          <button class="button primary" type="submit" value="use">Use this key</button>
          <button class="button quiet" type="submit" value="cancel" formnovalidate>Cancel</button>
        </div>
      </form>`;
    const input = dialog.querySelector("input");
    dialog.querySelector("#key-hint").textContent = reason || "One of the service's API_KEYS.";
    dialog.addEventListener("close", () => {
      dialog.remove();
      asking = null;
      const key = input.value.trim();
      if (dialog.returnValue === "use" && key) {
        keepKey(key);
        resolve();
      } else {
        reject(new ApiError("The service needs an API key.", { status: 401, code: "invalid_api_key" }));
      }
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

// Theme

/** The colour behind a custom property, as "rgb(...)", in the theme that holds: canvases take no var(). */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemIsDark.matches;
}

function setUpTheme(button) {
  const show = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    document.dispatchEvent(new Event("themechange"));
  };
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(THEME, theme);
    } catch {
      // Storage may be switched off: the choice lives as long as the page.
    }
    show();
  });
  systemIsDark.addEventListener("change", show);
  show();
}

/**
 * Set up what every page has: #theme (button), #key (button), #title, #version; "themechange" is an event of document.
 */
export function setUpPage() {
  // The page may have been opened without the slash at its end; a link to a part of it would then load it again.
  if (location.pathname !== BASE.pathname) history.replaceState(null, "", BASE.href + location.hash);
  document.title = config.title;
  document.getElementById("title").textContent = config.title;
  document.getElementById("version").textContent = `Version ${config.version}`;
  setUpTheme(document.getElementById("theme"));
  const key = document.getElementById("key");
  key.hidden = !config.keys;
  key.addEventListener("click", () => askForKey().catch(() => {}));
}

// What goes wrong

/** Show an error in an element with role="alert"; null hides it. Aborts are what somebody wanted: not shown. */
export function showProblem(element, error) {
  const shown = error !== null && error.name !== "AbortError";
  element.hidden = !shown;
  element.textContent = shown ? error.message : "";
}

// Code for what was done

/** A word of a shell's command line. */
export function shell(value) {
  return /^[\w./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

/** A string of Python. */
export function python(value) {
  return JSON.stringify(value);
}

/** The lines of curl that carry the key, which is never shown. */
export function curlKey() {
  return config.keys ? ['-H "Authorization: Bearer $API_KEY"'] : [];
}

/**
 * The first lines of a Python program: the SDK, pointed at this service.
 * @param {{kind?: string, imports?: string[]}} options kind: OpenAI or AsyncOpenAI; imports: further modules
 */
export function pythonClient({ kind = "OpenAI", imports = [] } = {}) {
  const modules = [...imports, ...(config.keys ? ["os"] : [])].sort().map((name) => `import ${name}\n`);
  const url = apiUrl("").href.replace(/\/$/, "");
  const key = config.keys ? 'os.environ["API_KEY"]' : '"unused"';
  return (
    `${modules.join("")}${modules.length ? "\n" : ""}from openai import ${kind}\n\n` +
    `client = ${kind}(base_url=${python(url)}, api_key=${key})\n`
  );
}

/**
 * Show code, each piece with a button that copies it.
 * @param {Element} element of class "snippets"
 * @param {Record<string, string>} pieces by their titles: {curl: "...", Python: "..."}
 */
export function showSnippets(element, pieces) {
  element.replaceChildren(
    ...Object.entries(pieces).map(([title, code]) => {
      const snippet = document.createElement("div");
      snippet.className = "snippet";
      snippet.innerHTML = `<header><h3></h3><button class="button quiet small" type="button">Copy</button></header><pre tabindex="0" role="region"><code></code></pre>`;
      snippet.querySelector("h3").textContent = title;
      snippet.querySelector("code").textContent = code;
      snippet.querySelector("pre").setAttribute("aria-label", `${title} code`);
      const button = snippet.querySelector("button");
      button.setAttribute("aria-label", `Copy the ${title} code`);
      button.addEventListener("click", () => copy(button, snippet.querySelector("code")));
      return snippet;
    }),
  );
}

/** Copy an element's text, or select it where the browser lets no script copy; the button says which, for a moment. */
export async function copy(button, element) {
  const label = (button.dataset.label ??= button.textContent);
  let done = "Copied";
  try {
    await navigator.clipboard.writeText(element.innerText);
  } catch {
    // Only https and localhost have a clipboard for scripts.
    getSelection().selectAllChildren(element);
    done = "Selected";
  }
  button.textContent = done;
  announce(done);
  setTimeout(() => (button.textContent = label), 2000);
}

let announcer = null;

/** Tell people who hear the page, politely; seldom. */
export function announce(message) {
  if (announcer === null) {
    announcer = document.createElement("div");
    announcer.className = "visually-hidden";
    announcer.setAttribute("role", "status");
    document.body.append(announcer);
  }
  announcer.textContent = message;
}

/** Seconds as a clock shows them: 0:07, 12:07, 1:02:07. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** Let the person keep something as a file. */
export function saveFile(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Some browsers begin to read it a moment later.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
