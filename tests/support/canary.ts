import { createServer } from 'node:net';

/** A listener on loopback that nobody has a reason to call: attackers name it where a careless server would fetch. */
export type Canary = {
  readonly url: string;
  /** Connections so far. */
  readonly calls: () => number;
  readonly close: () => Promise<void>;
};

export async function startCanary(): Promise<Canary> {
  let count = 0;
  const listener = createServer((socket) => {
    count += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/keys`,
    calls: () => count,
    close: () => new Promise((resolve) => listener.close(() => resolve())),
  };
}
