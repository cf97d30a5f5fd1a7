--[[
  Closes a bucket because the service behind a tool asked for patience, and tells every worker.

  KEYS[1]  the hash tag of the installation, from which every key is made
  ARGV[1]  bucket
  ARGV[2]  for how long, ms; a block that ends later stands
  Returns when it opens again, ms
]]
local tag = KEYS[1]
-- @include lib/now.lua
readClock()
-- How long calls try one by one after a block, should none come through.
local trialMs = 60000

local bucket, ms = ARGV[1], tonumber(ARGV[2])
local key = tag .. ':bucket:' .. bucket
local untilMs, tries = (redis.call('GET', key) or '0 '):match('^(%S+) ?(%S*)$')
untilMs = math.max(tonumber(untilMs), math.ceil(now + ms))
redis.call('SET', key, string.format('%.0f %s', untilMs, tries), 'PX', math.ceil(untilMs - now) + trialMs)
redis.call('PUBLISH', tag .. ':admission', cjson.encode({blocked = bucket, ['until'] = untilMs}))
return untilMs
