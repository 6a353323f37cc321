// Before anything is drawn, so that the page does not flash in the other theme.
try {
  const kept = localStorage.getItem("voice-stack-theme");
  if (kept) document.documentElement.dataset.theme = kept;
} catch {
  // Storage may be switched off: the system's theme holds.
}
