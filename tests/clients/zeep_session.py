"""The journey of a generated client: zeep_session.py WSDL NAME PASSWORD KEY. Prints one JSON object of what it saw."""

import json
import sys

from zeep import Client
from zeep.exceptions import Fault
from zeep.helpers import serialize_object


def shown(value):
    """Typed values as JSON: an instant shows its own zone, so a naive one is told apart."""
    return value.isoformat()


wsdl, name, password, key = sys.argv[1:]
service = Client(wsdl).service

session_id = service.Login(UserName=name, Password=password)
seen = {
    "Login": session_id,
    "SessionInfo": serialize_object(service.SessionInfo(SessionID=session_id), dict),
    "WhoAmI": serialize_object(service.WhoAmI(SessionID=session_id), dict),
    "SessionLog": serialize_object(service.SessionLog(SessionID=session_id, UserID=0, MaxRecords=10), dict),
    "Version": service.Version(),
    "NowUTC": service.NowUTC(),
    "SessionInfo of a key": serialize_object(service.SessionInfo(SessionID=key), dict),
    "Logout": [service.Logout(SessionID=session_id), service.Logout(SessionID=session_id)],
}
try:
    service.SessionInfo(SessionID=session_id)
except Fault as fault:
    first = fault.detail[0]
    seen["fault"] = [fault.code, fault.message, first.tag, [child.text for child in first]]
print(json.dumps(seen, default=shown))
