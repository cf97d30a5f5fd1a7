export function createFetch(_options: { hosts: unknown; signal: AbortSignal }) { return (input: string | URL, init?: RequestInit) => fetch(input, init); }
