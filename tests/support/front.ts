/** What answers below a path: another server, at its address or behind a socket file, or a text of a type. */
export type Behind =
  | { readonly url: string }
  | { readonly socket: string }
  | { readonly text: string; readonly type: string };

export type Front = {
  readonly url: string;
  /** The longest prefix of a path decides. */
  put(prefix: string, behind: Behind): void;
  close(): Promise<void>;
};

/** One origin with several servers behind it, as a reverse proxy makes it. */
export function startFront(): Front {
  const behind = new Map<string, Behind>();
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      const prefixes = [...behind.keys()].filter((prefix) => pathname.startsWith(prefix));
      const target = behind.get(prefixes.sort((a, b) => b.length - a.length)[0] ?? '');
      return target === undefined ? new Response(null, { status: 404 }) : answer(request, target);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    put: (prefix, target) => void behind.set(prefix, target),
    close: () => server.stop(true),
  };
}

async function answer(request: Request, target: Behind): Promise<Response> {
  if ('text' in target) return new Response(target.text, { headers: { 'Content-Type': target.type } });
  const { pathname, search } = new URL(request.url);
  const { method, headers } = request;
  const init = { method, headers, body: await request.bytes(), redirect: 'manual', decompress: false } as const;
  const sent = method === 'GET' || method === 'HEAD' ? { ...init, body: null } : init;
  if ('socket' in target) return fetch(`http://app${pathname}${search}`, { ...sent, unix: target.socket });
  return fetch(`${target.url}${pathname}${search}`, sent);
}
