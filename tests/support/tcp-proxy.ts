import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A wire whose far end can freeze or vanish and come back. */
export type TcpProxy = {
  readonly port: number;
  /** Lets everything through, also what was held back. */
  readonly forward: () => void;
  /** Takes connections and bytes and passes nothing on, in either direction, as a frozen server does. */
  readonly hold: () => void;
  /** Passes everything on so many milliseconds late, in either direction, in its order. */
  readonly delay: (ms: number) => void;
  /** Resets what is connected and every new connection at once, as a stopped server does. */
  readonly cut: () => void;
  readonly close: () => void;
};

/** Forwards connections to a port of this machine until told otherwise. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const open = new Set<Socket>();
  let state: 'forward' | 'hold' | 'cut' = 'forward';
  let delayMs = 0;
  const listener = createServer((near) => {
    if (state === 'cut') return void near.resetAndDestroy();
    const far = connect(targetPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from);
      from.on('data', (bytes) => (delayMs === 0 ? to.write(bytes) : setTimeout(() => to.write(bytes), delayMs)));
      from.on('error', () => {});
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
      if (state === 'hold') from.pause();
    }
  });
  const listening = Promise.withResolvers<void>();
  listener.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  const cut = (): void => {
    state = 'cut';
    for (const socket of open) socket.resetAndDestroy();
  };
  return {
    port: (listener.address() as AddressInfo).port,
    forward() {
      state = 'forward';
      delayMs = 0;
      for (const socket of open) socket.resume();
    },
    hold() {
      state = 'hold';
      for (const socket of open) socket.pause();
    },
    delay(ms) {
      delayMs = ms;
    },
    cut,
    close() {
      cut();
      listener.close();
    },
  };
}
