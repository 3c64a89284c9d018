// The page of `ssedge demo` in a real Chromium, as a visitor has it: opened, looked at, its button pressed.
//
//   node demo-page.js URL
//
// On standard output, a line of JSON each: what the page shows once its stream runs, what it shows while the server is away, and what it
// shows once events come again. It waits for as long as that takes; who runs it has the deadline.

import { setTimeout as sleep } from 'node:timers/promises';
import { command, startSession } from './webdriver.js';

const look = `const text = (id) => document.getElementById(id).textContent;
  return {
    state: text('state'),
    events: Number(text('events')),
    reconnects: Number(text('reconnects')),
    restarted: text('restarted'),
    // Newest first.
    ids: [...document.querySelectorAll('#rows tr')].map((row) => Number(row.cells[1].textContent)),
    wire: [...document.querySelectorAll('#wire div')].map((line) => line.lastElementChild.textContent),
  };`;

const session = await startSession();
const run = (script) => command(`${session}/execute/sync`, { script, args: [] });

async function until(holds) {
  for (;;) {
    const seen = await run(look);
    if (holds(seen)) {
      console.log(JSON.stringify(seen));
      return seen;
    }
    await sleep(20);
  }
}

await command(`${session}/url`, { url: process.argv[2] });
const before = await until(({ state, events }) => state === 'open' && events >= 2);
await run(`document.getElementById('restart').click()`);
await until(({ state }) => state === 'reconnecting' || state === 'closed');
await until(({ state, events, reconnects }) => state === 'open' && reconnects > before.reconnects && events > before.events + 2);
process.exit();
