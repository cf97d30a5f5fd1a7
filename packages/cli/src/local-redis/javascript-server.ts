/** The process that is the pure-JavaScript server: `node javascript-server.ts PORT`. */
import { createRedisServer } from 'js-redis-server';

const { server: redis } = await createRedisServer();
const { server } = redis;
// The package listens on every interface and cannot be told otherwise; a Redis without a password must not.
server.close(() => {
  server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('Ready to accept connections'));
});
