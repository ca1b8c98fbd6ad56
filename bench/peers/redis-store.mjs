// connect-redis with its documented settings, for both servers that keep their sessions in Redis.
import { RedisStore } from 'connect-redis';
import { createClient } from 'redis';

export async function openRedisStore(port) {
  const client = createClient({ url: `redis://127.0.0.1:${port}` });
  await client.connect();
  return new RedisStore({ client, prefix: 'bench:' });
}
