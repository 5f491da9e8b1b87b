// Solves the riddle of a form while somebody fills it in: finds a number whose SHA-256 with the riddle begins with zeros. By hand,
// since browsers hash for pages on HTTPS only.
const K = Uint32Array.from({ length: 64 }, (_, n) => fraction(prime(n), 1 / 3));
const START = Uint32Array.from({ length: 8 }, (_, n) => fraction(prime(n), 1 / 2));

function prime(n) {
  let candidate = 1;
  for (let found = -1; found < n;) {
    candidate++;
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor) divisor++;
    if (divisor * divisor > candidate) found++;
  }
  return candidate;
}
function fraction(number, power) {
  const root = number ** power;
  return ((root - Math.floor(root)) * 2 ** 32) >>> 0;
}
const turn = (x, n) => (x >>> n) | (x << (32 - n));

const w = new Uint32Array(64);

/** What SHA-256 makes of `state` and the sixteen words in `w`. */
function block(state) {
  for (let i = 16; i < 64; i++) {
    const [x, y] = [w[i - 15], w[i - 2]];
    w[i] = w[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + w[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
  }
  return Uint32Array.of(state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e, state[5] + f, state[6] + g, state[7] + h);
}

/** The first word of the SHA-256 of a text of plain letters. */
function firstWord(text) {
  const length = ((text.length + 8) >> 6) + 1;
  let state = START;
  for (let at = 0; at < length; at++) {
    for (let i = 0; i < 16; i++) {
      let word = 0;
      for (let j = 0; j < 4; j++) {
        const place = at * 64 + i * 4 + j;
        word = (word << 8) | (place < text.length ? text.charCodeAt(place) : place === text.length ? 0x80 : 0);
      }
      w[i] = word;
    }
    if (at === length - 1) w[15] = text.length * 8;
    state = block(state);
  }
  return state[0];
}

/** As long as this the page does not answer, ms. */
const AT_ONCE_MS = 30;
async function solve(riddle, bits) {
  let rested = performance.now();
  for (let number = 0; ; number++) {
    if (Math.clz32(firstWord(`${riddle}:${number}`)) >= bits) return String(number);
    if (number % 64 === 0 && performance.now() - rested > AT_ONCE_MS) {
      await new Promise((resolve) => setTimeout(resolve));
      rested = performance.now();
    }
  }
}

const form = document.querySelector("form[data-riddle]");
if (form) {
  const note = form.querySelector("[data-work-note]");
  const button = form.querySelector("button");
  let solving = null;
  const begin = () => (solving ??= solve(form.dataset.riddle, Number(form.dataset.bits)).then((solution) => {
    form.elements.riddle.value = form.dataset.riddle;
    form.elements.solution.value = solution;
    form.dataset.solved = "yes";
  }));
  form.addEventListener("input", begin, { once: true });
  form.addEventListener("submit", async (event) => {
    if (form.dataset.solved) return;
    event.preventDefault();
    button.disabled = true;
    note.textContent = "One moment: your browser does some work, so that nobody sends thousands of these.";
    await begin();
    button.disabled = false;
    form.requestSubmit();
  });
}
