// Placeholder of the lead until helper D's version replaces this file.
export interface LimitRule {
  per: ('user' | 'owner' | 'tool')[];
  rate?: { limit: number; periodMs: number; burst?: number };
  concurrency?: number;
  quota?: { limit: number; windowMs: number };
  cost?: unknown;
  onLimit?: 'wait' | 'refuse';
  for?: Record<string, string>;
}
export interface LimitRules {
  limits: LimitRule[];
  weights: Record<string, number>;
}
export const readLimitRules = (data: unknown): LimitRules => data as LimitRules;
export const loadLimitRules = (_file: string): LimitRules => ({ limits: [], weights: {} });
