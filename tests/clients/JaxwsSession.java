import java.util.stream.Collectors;
import javax.xml.soap.SOAPFault;
import javax.xml.ws.soap.SOAPFaultException;
import net.ecgridos.ECGridOS;
import net.ecgridos.ECGridOSPortType;
import net.ecgridos.SessionIDInfo;
import net.ecgridos.UserIDInfo;

/** The journey of the documents' Java sample over the classes that wsimport makes: JaxwsSession NAME PASSWORD KEY. */
class JaxwsSession {
  public static void main(String[] arguments) {
    ECGridOS service = new ECGridOS();
    ECGridOSPortType port = service.getECGridOSPort();
    String sessionId = port.login(arguments[0], arguments[1], null, null, null, null, null);
    System.out.println("Login " + sessionId);
    System.out.println("SessionInfo " + shown(port.sessionInfo(sessionId)));
    UserIDInfo user = port.whoAmI(sessionId);
    System.out.println("WhoAmI " + user.getUserID() + " " + user.getLogin() + " " + user.getNetworkID() + " "
        + user.getMailboxID() + " " + user.getAuthLevel().name() + " " + user.getEmail() + " " + user.getFirstName()
        + " " + user.getLastName() + " " + user.getStatus().name() + " " + user.getCreated());
    System.out.println("SessionLog " + port.sessionLog(sessionId, 0, (short) 10).getSessionIDInfo().stream()
        .map(JaxwsSession::shown).collect(Collectors.joining(", ")));
    System.out.println("Version " + port.version());
    System.out.println("NowUTC " + port.nowUTC());
    System.out.println("SessionInfo of a key " + shown(port.sessionInfo(arguments[2])));
    System.out.println("Logout " + port.logout(sessionId) + " " + port.logout(sessionId));
    try {
      port.sessionInfo(sessionId);
    } catch (SOAPFaultException exception) {
      SOAPFault fault = exception.getFault();
      System.out.println("fault " + fault.getFaultCode() + " " + fault.getFaultString() + " "
          + fault.getDetail().getFirstChild().getNodeName());
    }
  }

  static String shown(SessionIDInfo info) {
    return info.getSessionID() + " " + info.getUserID() + " " + info.getNetworkID() + " " + info.getMailboxID() + " "
        + info.getCreated() + " " + info.getExpires();
  }
}
