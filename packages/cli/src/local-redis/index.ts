import { readEnvironment, type Environment } from './environment.ts';
import { findServer, javaScriptServer, NoRedisError } from './find-server.ts';
import { launch, type LaunchOptions, type LocalRedis } from './launch.ts';

export { NoRedisError };
export type { Environment, LocalRedis };

export interface LocalRedisOptions extends LaunchOptions {
  /** a REDIS_URL the caller was given: used as it is, and nothing is started */
  url?: string | undefined;
  /** whether the pure-JavaScript server, slow and in memory only, may stand in for a real one; default false */
  allowJavaScript?: boolean;
  /** take this server, whatever else there is */
  force?: 'javascript';
  /** told which Redis runs, and what is fetched; default: silence */
  log?: (line: string) => void;
  /** default: that of this process */
  environment?: Environment;
}

/**
 * A Redis for demo, tests, replay and bench: the one given, else one of this machine, else the distribution's package,
 * else (where allowed) the JavaScript server. What it starts ends with this process, also when that is killed.
 * @throws NoRedisError
 */
export async function startLocalRedis(options: LocalRedisOptions = {}): Promise<LocalRedis> {
  const { url, force, allowJavaScript = false, environment = readEnvironment(), log = () => {} } = options;
  const start = async () =>
    launch(force ? javaScriptServer() : await findServer({ environment, allowJavaScript, log }), options);
  const redis = url && !force ? givenRedis(url) : await start();
  log(`Redis: ${redis.description}`);
  return redis;
}

function givenRedis(url: string): LocalRedis {
  return { url, description: `the one at ${new URL(url).host}, as given`, stop: async () => {} };
}
