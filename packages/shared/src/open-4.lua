--[[
  Asks whether a call may start now. Only where there is something to decide: see worker/open.ts.

  KEYS[1]  outcome of the call
  KEYS[2]  BullMQ's lock of the job
  KEYS[3]  start mark of the call
  KEYS[4]  the hash tag of the installation, from which the keys of admission are made
  ARGV[1]  the lock token that must still be ours
  ARGV[2]  how long a start mark is kept, ms; 0 sets none
  ARGV[3]  JSON {p pool, call as it stands in a lane, about, staleMs | nothing} where admission or the cache is to be
           asked, else ''; a cached value that has less than staleMs to live is stale
  Returns a pair
    'go', ''
    'stale', ''         the job is no longer ours
    'started', ''       it was started before and may not start again
    'settled', JSON     the outcome that stands already
    'cached', JSON      the value
    'follow', ''        an equal call runs: wait for its result
    'wait', JSON        {bucket, afterMs | nothing}
    'refused', JSON     {refused, bucket, afterMs | nothing, left | nothing}, and it takes nothing
]]
local tag = KEYS[4]
-- @include admission/lib/now.lua
-- @include admission/lib/later.lua
-- @include admission/lib/bullmq.lua
-- @include admission/lib/buckets.lua
-- @include admission/lib/lanes.lua

-- The result of an equal call: of one that has run, or of one that runs.
local function findResult(call, staleMs)
  local key = tag .. ':cache:' .. call.cacheId
  if redis.call('PTTL', key) > staleMs then return {'cached', redis.call('GET', key)} end
  local flown = redis.call('GET', tag .. ':flight:' .. call.cacheId)
  if not flown then return nil end
  local pool, other = flown:match('^(%S+) (%S+)$')
  if other ~= call.key and redis.call('EXISTS', bull(pool, other)) == 1 then return {'follow', ''} end
end

-- The buckets of what a call held: it has had its turn there, and waits behind nobody. Else a call that is picked up late
-- each time would never start where others wait.
local function hadTurns(held)
  local turns = {}
  for bucket in (held or ''):gmatch('(%S+)=') do turns[bucket] = true end
  return turns
end

-- What the call was granted before is given back and asked for anew: too much time has passed, or it has started once.
local function admit(asked, call)
  local found = call.cacheId ~= '' and findResult(call, asked.staleMs)
  if found then
    if found[1] == 'follow' then giveBack(asked.p, {{key = call.key, started = false}}) end
    return found
  end
  local held = giveBack(asked.p, {{key = call.key, started = false, again = true}})[1]
  call.cacheId = ''
  local met = obstacleOf(asked.about, call, hadTurns(held))
  if not met then return nil end
  local said = {bucket = met.bucket, refused = met.refuse, left = met.left}
  if met.at then said.afterMs = math.ceil(met.at - now) end
  return {met.refuse and 'refused' or 'wait', cjson.encode(said)}
end

-- Takes what a start costs, and the flight on which equal calls wait.
local function start(asked, call, id)
  hold(asked.p, call.key, asked.about.l, call.costs, fly(id, asked.p, call.key))
end

local standing = redis.call('GET', KEYS[1])
if standing then return {'settled', standing} end
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'stale', ''} end
if ARGV[2] ~= '0' and redis.call('EXISTS', KEYS[3]) == 1 then return {'started', ''} end
if ARGV[3] ~= '' then
  readClock()
  local asked = cjson.decode(ARGV[3])
  local call = parseCall(asked.call)
  local id = call.cacheId
  local no = admit(asked, call)
  if not no then start(asked, call, id) end
  finish()
  if no then return no end
end
if ARGV[2] ~= '0' then redis.call('SET', KEYS[3], '1', 'PX', ARGV[2]) end
return {'go', ''}
