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
local bucket, ms = ARGV[1], tonumber(ARGV[2])
local key = tag .. ':bucket:' .. bucket
if redis.call('PTTL', key) < ms then redis.call('SET', key, '1', 'PX', ms) end
local untilMs = math.ceil(now + redis.call('PTTL', key))
redis.call('PUBLISH', tag .. ':admission', cjson.encode({blocked = bucket, ['until'] = untilMs}))
return untilMs
