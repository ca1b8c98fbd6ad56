import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Recorder = {
  /** Where clients connect to, instead of the server. */
  readonly url: string;
  /** All that clients have sent since the last call, byte for byte as Latin-1. */
  take(): string;
  close(): void;
};

/** A wire between clients and a server that keeps what the clients send: what they really say, not what we think they do. */
export async function startRecorder(targetUrl: string): Promise<Recorder> {
  const target = new URL(targetUrl);
  const open = new Set<Socket>();
  let sent = '';
  const listener = createServer((client) => {
    const server = connect(Number(target.port), target.hostname);
    client.on('data', (data) => {
      sent += data.toString('latin1');
    });
    client.pipe(server);
    server.pipe(client);
    for (const socket of [client, server]) {
      open.add(socket);
      // A reset is one way of hanging up.
      socket.on('error', () => {});
      socket.on('close', () => open.delete(socket));
    }
  });
  const listening = Promise.withResolvers<void>();
  listener.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    take() {
      const taken = sent;
      sent = '';
      return taken;
    },
    close() {
      listener.close();
      for (const socket of open) socket.destroy();
    },
  };
}
