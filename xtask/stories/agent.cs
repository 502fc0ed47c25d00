// Story S1: a sidecar that answers a load balancer, one thread for each connection.
// In: a port. Out: for each frame (its length, then a text: its length, its bytes) the sum of the bytes. A text that says it is longer than its frame is read
// for ever.

using System;
using System.Net;
using System.Net.Sockets;
using System.Threading;

static class Agent
{
    static int ReadText(byte[] frame)
    {
        int declared = BitConverter.ToInt32(frame, 0);
        int at = 4, sum = 0;
        for (int got = 0; got < declared;)
        {
            // The fault: where the frame ends, nothing is got any more, and nobody gives up.
            if (at < frame.Length) { sum += frame[at++]; got++; }
        }
        return sum;
    }

    static byte[] Receive(Socket client, int length)
    {
        var bytes = new byte[length];
        for (int got = 0; got < length;)
        {
            int more = client.Receive(bytes, got, length - got, SocketFlags.None);
            if (more == 0) return null;
            got += more;
        }
        return bytes;
    }

    static void Serve(Socket client)
    {
        for (;;)
        {
            byte[] head = Receive(client, 4);
            byte[] frame = head == null ? null : Receive(client, BitConverter.ToInt32(head, 0));
            if (frame == null) break;
            client.Send(BitConverter.GetBytes(ReadText(frame)));
        }
        client.Close();
    }

    static void Main(string[] words)
    {
        var listener = new TcpListener(IPAddress.Loopback, int.Parse(words[0]));
        listener.Start();
        for (;;)
        {
            Socket client = listener.AcceptSocket();
            new Thread(() => Serve(client)) { IsBackground = true }.Start();
        }
    }
}
