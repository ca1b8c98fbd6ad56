import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Which way bytes go; both unless told otherwise. */
type Direction = 'both' | 'to server' | 'to client';

/** A wire whose far end can freeze or vanish and come back. */
export type TcpProxy = {
  readonly port: number;
  /** Lets everything through, also what was held back. */
  readonly forward: () => void;
  /** Takes connections and bytes and passes nothing on, as a frozen server does, or in one direction only. */
  readonly hold: (direction?: Direction) => void;
  /** Connections from now on lead to another port; those that are open stay where they are. */
  readonly moveTo: (targetPort: number) => void;
  /** Passes everything on so many milliseconds late, in either direction, in its order. */
  readonly delay: (ms: number) => void;
  /** Resets what is connected and every new connection at once, as a stopped server does. */
  readonly cut: () => void;
  readonly close: () => void;
};

/** Forwards connections to a port of this machine until told otherwise. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const open = new Map<Socket, Direction>();
  let port = targetPort;
  let isCut = false;
  let held: Direction | undefined;
  let delayMs = 0;
  const listener = createServer((near) => {
    if (isCut) return void near.resetAndDestroy();
    const far = connect(port, '127.0.0.1');
    for (const [from, to, direction] of [
      [near, far, 'to server'],
      [far, near, 'to client'],
    ] as const) {
      open.set(from, direction);
      from.on('data', (bytes) => (delayMs === 0 ? to.write(bytes) : setTimeout(() => to.write(bytes), delayMs)));
      from.on('error', () => {});
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
      if (held === 'both' || held === direction) from.pause();
    }
  });
  const listening = Promise.withResolvers<void>();
  listener.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  const cut = (): void => {
    isCut = true;
    for (const socket of open.keys()) socket.resetAndDestroy();
  };
  return {
    port: (listener.address() as AddressInfo).port,
    forward() {
      isCut = false;
      held = undefined;
      delayMs = 0;
      for (const socket of open.keys()) socket.resume();
    },
    hold(direction = 'both') {
      isCut = false;
      held = direction;
      for (const [socket, own] of open) if (direction === 'both' || direction === own) socket.pause();
    },
    moveTo(next) {
      port = next;
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
