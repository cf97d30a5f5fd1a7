--[[ `now`: the time of Redis, ms with three decimals, once `readClock` has been called. ]]
local now

local function readClock()
  if now then return end
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
