// The clients that live in browsers, on one stream; chromium.js opens this page in a frame and is told what they see.
//
//   ?client=event-source|fetch|fetch-event-source&method=GET&url=/story&body=…[&cookie=a=b]
//
// With a cookie, which is set for this host, `EventSource` asks with credentials.
//
// The lines are those of the other clients: {"open": true}, {"error": …}, {"type": …, "id": …, "data": …} for each event, and
// {"end": true} where the stream ended or the last event was there.

const say = (line) => window.parent.postMessage(line, '*');
window.addEventListener('error', ({ message }) => say({ error: message }));
window.addEventListener('unhandledrejection', ({ reason }) => say({ error: String(reason) }));

const { client, method, url, body, cookie } = Object.fromEntries(new URLSearchParams(location.search));
if (cookie) document.cookie = `${cookie}; path=/`;
const request = { method, body: body || undefined, headers: body ? { 'Content-Type': 'application/json' } : {} };

const clients = {
  // The browser's own. Events of a type are only seen by who listens to it, so: all types that the servers send.
  'event-source'() {
    const source = new EventSource(url, { withCredentials: Boolean(cookie) });
    source.addEventListener('open', () => say({ open: true }));
    source.addEventListener('error', () => say({ error: null, state: source.readyState }));
    for (const name of ['message', 'note', 'tick', 'pause']) {
      source.addEventListener(name, ({ type, lastEventId, data }) => {
        say({ type, id: lastEventId, data });
        if (data !== 'done') return;
        source.close();
        say({ end: true });
      });
    }
  },

  // fetch, read as a stream, with the parser that most libraries share.
  async fetch() {
    const { EventSourceParserStream } = await import('/page/modules/eventsource-parser/dist/stream.js');
    const response = await fetch(url, request);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const parser = new EventSourceParserStream({ onError: 'terminate' });
    const reader = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const { event, id, data } = next.value;
      say({ type: event ?? 'message', id: id ?? '', data });
    }
    say({ end: true });
  },

  async 'fetch-event-source'() {
    const { fetchEventSource } = await import('/page/modules/@microsoft/fetch-event-source/lib/esm/index.js');
    await fetchEventSource(url, {
      ...request,
      onmessage: ({ event, id, data }) => say({ type: event || 'message', id, data }),
      // Without this it would try again, unseen.
      onerror(error) {
        throw error;
      },
    });
    say({ end: true });
  },
};

clients[client]();
