// A Chromium without a window, driven over the WebDriver protocol. Needs Debian's packages `chromium` and `chromium-driver`. It ends with
// this process.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

// A shell stands between, so that the driver ends with this process, however that ends: `read` sees the end of the pipe. The
// browser ends with the driver, since that holds the pipe over which it is driven.
function startDriver() {
  const shell = 'chromedriver --port=0 & driver=$!; read _; kill $driver; wait $driver';
  return spawn('sh', ['-c', shell], { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function driverPort(driver) {
  for await (const line of createInterface({ input: driver.stdout })) {
    const port = /started successfully on port (\d+)/.exec(line)?.[1];
    if (port) return port;
  }
  throw new Error('chromedriver did not start');
}

// One command of the WebDriver protocol.
export async function command(where, what) {
  const response = await fetch(where, { method: 'POST', body: JSON.stringify(what) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${where}: ${value.error}: ${value.message}`);
  return value;
}

// Starts a browser; where its commands go.
export async function startSession() {
  const browser = {
    binary: '/usr/bin/chromium',
    // Without a sandbox, since it cannot have one as root, nor shared memory in a container. Names under `.test` are this machine, but
    // unlike its address none that a browser trusts without TLS.
    args: ['headless', 'no-sandbox', 'disable-gpu', 'disable-dev-shm-usage', 'no-proxy-server', 'remote-debugging-pipe',
      'host-resolver-rules=MAP *.test 127.0.0.1'],
  };
  const base = `http://127.0.0.1:${await driverPort(startDriver())}/session`;
  // The authority of the tests is not one that the machine knows.
  const capabilities = { alwaysMatch: { browserName: 'chrome', acceptInsecureCerts: true, 'goog:chromeOptions': browser } };
  return `${base}/${(await command(base, { capabilities })).sessionId}`;
}
