import { environmentWith } from '@callyard/shared/config';
import { forecast, stumblingForecast } from './forecast.ts';

/* What worker processes serve that are to be replaced by others: the version is a setting of theirs. */

const version = environmentWith({}).FORECAST_VERSION ?? '1.0.0';

export const steady = forecast(version);
export const stumbling = stumblingForecast(version);
